import { describe, expect, it } from 'vitest'
import { and, assign, fromPromise, not, setup } from 'xstate'
import { diagramOf } from '../../tools/docs/diagram.js'
import { actionName, eventName, guardName } from '../../machines/chart-names.js'
import { pageOf } from '../../tools/docs/page.js'

const door = setup({
  types: { events: {} as { type: 'open' | 'close' | 'lock' | 'knock' } },
  actors: { greet: fromPromise(async () => 'hello') },
  guards: { hasKey: () => true, outcomeIs: (_, _params: { status: string }) => true },
  actions: { count: assign({}), ring: () => {} },
}).createMachine({
  id: 'door',
  description: 'A door with a bell.',
  initial: 'closed',
  on: { '*': { actions: 'ring', meta: { refusal: 'unknown_event' } } },
  states: {
    closed: {
      description: 'Nobody passes.',
      on: {
        open: { target: 'open', guard: { type: 'outcomeIs', params: { status: 'unlocked' } }, actions: 'count' },
        knock: { actions: ['ring', assign({})] },
      },
    },
    open: {
      initial: 'greeting',
      on: {
        close: [
          { target: 'closed', guard: not('hasKey') },
          { target: 'gone', description: 'For good.' },
        ],
        lock: 'gone',
      },
      states: {
        greeting: { tags: ['busy'], entry: 'ring', invoke: { src: 'greet', id: 'greet', onDone: 'quiet' } },
        quiet: { after: { 5000: '#door.closed' } },
      },
    },
    gone: { type: 'final' },
  },
})

describe('diagramOf', () => {
  it('draws nesting, internal transitions, guards, final states, and events that share an arrow', () => {
    expect(diagramOf(door).split('\n')).toEqual([
      'stateDiagram-v2',
      '  [*] --> closed',
      '  state "closed" as closed',
      '  closed : knock',
      '  state "open" as open {',
      '    [*] --> open__greeting',
      '    state "greeting" as open__greeting',
      '    state "quiet" as open__quiet',
      '  }',
      '  state "gone" as gone',
      '  gone --> [*]',
      '  closed --> open : open [outcomeIs(status unlocked)]',
      '  open --> closed : close [not(hasKey)]',
      '  open --> gone : close<br/>lock',
      '  open__greeting --> open__quiet : done(greet)',
      '  open__quiet --> closed : after 5000',
    ])
  })

  it('draws a transition of the root from every state that does not take the event itself', () => {
    const till = setup({ guards: { isRaining: () => true } }).createMachine({
      id: 'till',
      initial: 'open',
      on: { close: '.shut' },
      states: {
        open: {},
        lent: { on: { close: { guard: 'isRaining' } } },
        busy: { on: { '*': {} } },
        shut: { type: 'final' },
      },
    })
    expect(
      diagramOf(till)
        .split('\n')
        .filter((line) => line.includes('--> shut')),
    ).toEqual(['  open --> shut : close', '  lent --> shut : close'])
  })

  it('separates the regions of a parallel chart', () => {
    const parallel = setup({}).createMachine({
      id: 'lamp',
      type: 'parallel',
      states: {
        power: { initial: 'off', states: { off: {} } },
        'time-of-day': { initial: 'day', states: { day: {} } },
      },
    })
    expect(diagramOf(parallel).split('\n')).toEqual([
      'stateDiagram-v2',
      '  state "lamp" as lamp {',
      '    state "power" as power {',
      '      [*] --> power__off',
      '      state "off" as power__off',
      '    }',
      '    --',
      '    state "time-of-day" as time_of_day {',
      '      [*] --> time_of_day__day',
      '      state "day" as time_of_day__day',
      '    }',
      '  }',
    ])
  })
})

describe('pageOf', () => {
  const lines = pageOf(door).split('\n')

  it('opens with the name and the description of the chart', () => {
    expect(lines[0]).toBe('# door')
    expect(lines[4]).toBe('A door with a bell.')
  })

  it('lists states with tags, entry actions and invoked actors, without empty columns', () => {
    expect(lines).toContain('| State | Kind | Entry | Invokes | Description |')
    expect(lines).toContain('| `closed` | atomic |  |  | Nobody passes. |')
    expect(lines).toContain('| `open.greeting` | atomic, `busy` | `ring` | `greet` |  |')
  })

  it('lists every transition with guard, target, actions, description and meta', () => {
    expect(lines).toContain('| State | Event | Guard | Target | Actions | Notes |')
    expect(lines.slice(lines.indexOf('| State | Event | Guard | Target | Actions | Notes |') + 2)).toEqual([
      '| `door` | `*` |  |  | `ring` | refusal: `unknown_event` |',
      '| `closed` | `open` | `outcomeIs(status: unlocked)` | `open` | `count` |  |',
      '| `closed` | `knock` |  |  | `ring`, `assign` |  |',
      '| `open` | `close` | `not(hasKey)` | `closed` |  |  |',
      '| `open` | `close` |  | `gone` |  | For good. |',
      '| `open` | `lock` |  | `gone` |  |  |',
      '| `open.greeting` | `done(greet)` |  | `open.quiet` |  |  |',
      '| `open.quiet` | `after 5000` |  | `closed` |  |  |',
      '',
    ])
  })
})

describe('names', () => {
  it('spell out combined guards and mark inline ones', () => {
    expect(guardName(and(['isOpen', not('isEmpty')]))).toBe('and(isOpen, not(isEmpty))')
    expect(guardName({ type: 'isOver', params: () => 1 })).toBe('isOver(...)')
    expect(guardName(() => true)).toBe('inline')
  })

  it('show parameters of every shape', () => {
    expect(actionName('ring')).toBe('ring')
    expect(actionName({ type: 'hold', params: 'not_quiescent' })).toBe('hold(not_quiescent)')
    expect(actionName({ type: 'wait', params: { ms: 5, until: 'noon' } })).toBe('wait(ms: 5, until: noon)')
  })

  it('show the events of XState as a reader knows them', () => {
    expect(eventName('')).toBe('always')
    expect(eventName('xstate.error.actor.fetch')).toBe('error(fetch)')
    expect(eventName('progress_reported')).toBe('progress_reported')
  })
})
