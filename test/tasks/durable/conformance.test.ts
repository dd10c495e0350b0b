import { describe, it } from 'vitest'
import { durableConformance } from '../../../src/testing/durable-conformance.js'
import { createTaskDurable } from './support/task-durable.js'

durableConformance({ describe, it }, 'tasks', createTaskDurable)
