import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Logger } from '../../src/base/logger.js'
import type { Meter } from '../../src/base/meter.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import * as laneLines from '../../src/lane/lines.js'
import * as socketLines from '../../src/node/admin/socket/lines.js'
import * as daemonLines from '../../src/node/daemon-lines.js'
import * as loopLines from '../../src/node/loop-lines.js'
import * as operationLines from '../../src/operations/operation-lines.js'
import * as runtimeLines from '../../src/runtime-lines.js'
import { createRuntime } from '../../src/runtime.js'
import * as taskLines from '../../src/tasks/task-lines.js'

const page = readFileSync(join(import.meta.dirname, '../../docs/observability.md'), 'utf8')

/** Cells of the first two columns of every row. */
const rows = Array.from(page.matchAll(/^\| ([^|]+) \| ([^|]+) \|/gm), ([, first = '', second = '']) => [first, second])

it('every line of the life of a service is on the page, at its level, and no other', () => {
  const lines: readonly { readonly level: keyof Logger; readonly message: string }[] = [
    ...Object.values(runtimeLines),
    ...Object.values(laneLines),
    ...Object.values(operationLines),
    ...Object.values(taskLines),
    ...Object.values(daemonLines),
    ...Object.values(loopLines),
    ...Object.values(socketLines),
  ]
  const told = rows.filter(([first = '']) => ['debug', 'info', 'warn', 'error'].includes(first))
  expect(told.map((row) => row.join(' ')).toSorted()).toEqual(
    lines.map(({ level, message }) => `${level} ${message}`).toSorted(),
  )
})

it('every instrument is on the page, and no other', async () => {
  const names: string[] = []
  const make = (name: string) => {
    names.push(`\`${name}\``)
    return { add: () => {}, record: () => {}, addCallback: () => {}, removeCallback: () => {} }
  }
  const meter: Meter = { createCounter: make, createHistogram: make, createObservableUpDownCounter: make }
  await using _ = await createRuntime({ meter, store: createMemoryJournal() })
  const told = rows.map(([first = '']) => first).filter((first) => /^`(?:stateward|messaging)\./.test(first))
  expect(told.toSorted()).toEqual(names.toSorted())
})
