import { describe, expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { LineDisplay } from '../../src/cli/line-display.js'
import { LiveDisplay } from '../../src/cli/live-display.js'
import { createPaint, wantsColour, type OutputTarget } from '../../src/cli/paint.js'
import type { RunEvent } from '../../src/cli/run-events.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

const operationId = '019a0000-0000-7000-8000-000000000001' as OperationId
const process = {
  exitCode: 0,
  signal: null,
  timedOut: false,
  durationMs: 1200,
  outputBytes: 0,
  outputTail: '',
  outputs: {},
}

const opened: RunEvent = {
  type: 'opened',
  plan: 'demo',
  dataDir: '/data',
  tools: ['one', 'two', 'three'],
  toRun: 3,
  concurrency: 2,
  before: [],
}
const started = (tool: string): RunEvent => ({ type: 'started', tool, operationId })
const ended = (name: string): Extract<RunEvent, { type: 'ended' }> => ({
  type: 'ended',
  result: { name, status: 'as_expected', begun: 'now', operationId, attempt: 1, reason: null, process },
})

const failedOnce: RunEvent = {
  type: 'retrying',
  result: { ...ended('one').result, status: 'unexpected', reason: 'ended with exit code 1' },
  attempts: 3,
  delayMs: 5000,
}

/** A terminal that understands what the live display writes: new lines, "up and to the left", "erase below". */
class FakeTerminal implements OutputTarget {
  readonly isTTY = true
  lines: string[] = ['']
  written = 0
  widest = 0

  readonly columns: number
  readonly rows: number

  constructor(columns: number, rows: number) {
    this.columns = columns
    this.rows = rows
  }

  write(text: string): void {
    this.written += 1
    for (const part of text.replaceAll('\u001B[', '\n<').split(/(\n<\d+[FJ]|\n)/)) {
      const [, amount, command] = /^\n<(\d+)([FJ])$/.exec(part) ?? []
      if (command === 'F') this.lines.splice(this.lines.length - 1 - Number(amount), Number(amount) + 1, '')
      else if (part === '\n') this.lines.push('')
      else if (command === undefined) this.lines[this.lines.length - 1] += part
    }
    this.widest = Math.max(this.widest, ...this.lines.map((line) => line.length))
  }

  get screen(): string[] {
    return this.lines.slice(0, -1)
  }
}

function live(columns = 60, rows = 24) {
  const clock = new SimulatedClock()
  const terminal = new FakeTerminal(columns, rows)
  return { clock, terminal, display: new LiveDisplay(terminal, createPaint(false), clock) }
}

describe('the live display', () => {
  it('keeps what has happened and redraws what is running below it', () => {
    const { clock, terminal, display } = live()
    for (const event of [opened, started('one'), started('two')]) display.show(event)
    clock.advance(100)
    const head = 'plan demo: 3 tools to run, 2 at once, data in /data'
    const none = '[.........]  0 of 3 done, 2 running, 1 waiting'
    expect(terminal.screen).toEqual([head, 'one  100 ms', 'two  100 ms', none])
    display.show({ type: 'progress', tool: 'two', message: 'half way', fraction: 0.5 })
    clock.advance(100)
    expect(terminal.screen).toEqual([head, 'one  200 ms', 'two  200 ms    [####.....]  50% half way', none])
    display.show(ended('one'))
    expect(terminal.screen).toEqual([
      head,
      'ok           one    1.2 s',
      'two  200 ms    [####.....]  50% half way',
      '[###......]  1 of 3 done, 1 running, 1 waiting',
    ])
    display[Symbol.dispose]()
    expect(terminal.screen).toEqual([head, 'ok           one    1.2 s'])
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('draws many reports at once', () => {
    const { clock, terminal, display } = live()
    display.show(opened)
    display.show(started('one'))
    const before = terminal.written
    for (let step = 1; step <= 1000; step += 1) {
      display.show({ type: 'progress', tool: 'one', message: `step ${step}` })
    }
    clock.advance(100)
    expect(terminal.written).toBe(before + 1)
    expect(terminal.screen.at(-2)).toBe('one  100 ms    step 1000')
  })

  it('shows the time that passes without a report', () => {
    const { clock, terminal, display } = live()
    display.show(started('one'))
    clock.advance(3100)
    expect(terminal.screen).toEqual(['one  3.1 s', '[.........]  0 of 0 done, 1 running, 0 waiting'])
  })

  it('never writes wider than the terminal, and nothing that the terminal would obey', () => {
    const { clock, terminal, display } = live(40)
    display.show(started('one'))
    display.show({ type: 'progress', tool: 'one', message: `\u001B[2J${'x'.repeat(100)}` })
    clock.advance(100)
    expect(terminal.screen.at(0)).toBe(`one  100 ms    ${'x'.repeat(23)}…`)
    expect(terminal.widest).toBe(39)
  })

  it('counts what symbols take, so that no line wraps', () => {
    const { clock, terminal, display } = live(20)
    display.show(started('one'))
    display.show({ type: 'progress', tool: 'one', message: '✅⚡👍🏽\u202edone' })
    clock.advance(100)
    // "one  100 ms    " takes 15 of the 19 columns: of the symbols one fits beside the ellipsis.
    expect(terminal.screen[0]).toBe('one  100 ms    ✅…')
    display.show({ type: 'progress', tool: 'one', message: '✅\u202e⚡' })
    clock.advance(100)
    expect(terminal.screen[0]).toBe('one  200 ms    ✅⚡')
  })

  it('takes a terminal that does not know its size for an ordinary one', () => {
    const { clock, terminal, display } = live(0, 0)
    display.show(started('one'))
    clock.advance(100)
    expect(terminal.screen[0]).toBe('one  100 ms')
  })

  it('never draws more than the terminal is high', () => {
    const { clock, terminal, display } = live(60, 5)
    for (let index = 0; index < 20; index += 1) display.show(started(`tool-${index}`))
    clock.advance(100)
    expect(terminal.screen.map((line) => line.split(' ')[0])).toEqual(['tool-0', 'tool-1', 'tool-2', '[.........]'])
  })
})

describe('the line display', () => {
  it('tells starts and ends, and progress once a second', () => {
    const clock = new SimulatedClock()
    let output = ''
    const target = { write: (text: string) => (output += text) }
    using display = new LineDisplay(target, createPaint(false), clock)
    display.show(opened)
    display.show(started('one'))
    for (const fraction of [0.1, 0.2]) display.show({ type: 'progress', tool: 'one', message: 'copying', fraction })
    clock.advance(1000)
    display.show({ type: 'progress', tool: 'one', message: '', fraction: 0.7 })
    display.show(failedOnce)
    display.show(started('one'))
    display.show(ended('one'))
    display.show({ type: 'reaped', tool: 'two', killed: 2, leftPids: [17] })
    display.show({ type: 'warning', message: 'disk\nfull' })
    display.show({ type: 'stopping', how: 'retire' })
    expect(output.split('\n')).toEqual([
      'plan demo: 3 tools to run, 2 at once, data in /data',
      'start        one',
      '             one    10% copying',
      '             one    70%',
      'again        one    ended with exit code 1; attempt 2 of 3 in 5.0 s',
      'start        one',
      'ok           one    1.2 s (1 of 3)',
      'killed 2 processes that an earlier run had left of two',
      'an earlier run may have left processes of two that cannot be identified or killed: 17',
      'disk full',
      'stopping: running tools are asked to end, press Ctrl-C again to kill them',
      '',
    ])
  })
})

describe('colours', () => {
  it('are used on a terminal that has them, and nowhere else', () => {
    const write = (): void => {}
    expect(wantsColour({ write, isTTY: true, hasColors: () => true })).toBe(true)
    expect(wantsColour({ write, isTTY: true, hasColors: () => false })).toBe(false)
    expect(wantsColour({ write, hasColors: () => true })).toBe(false)
    expect(createPaint(true)('red', 'x')).toBe('\u001B[31mx\u001B[39m')
  })
})
