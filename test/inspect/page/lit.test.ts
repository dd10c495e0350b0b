import { expect, it } from 'vitest'
import { litStates } from '../../../src/inspect/page/chart/lit.js'
import { chartGraph } from '../../../src/inspect/stream/chart-graph.js'
import { runMachine } from '../../../machines/run.js'

it('counts who is in a state in those around it: together, and once where they are in several regions', () => {
  const lit = litStates(chartGraph(runMachine), {
    'run.lifecycle.scheduled': 7,
    'run.lifecycle.running': 3,
    'run.attempt.idle': 8,
    'run.attempt.waiting': 2,
    'run.lease.free': 10,
  })
  expect(Object.fromEntries(lit)).toEqual({
    run: 10,
    'run.lifecycle': 10,
    'run.lifecycle.scheduled': 7,
    'run.lifecycle.running': 3,
    'run.attempt': 10,
    'run.attempt.idle': 8,
    'run.attempt.waiting': 2,
    'run.lease': 10,
    'run.lease.free': 10,
  })
})
