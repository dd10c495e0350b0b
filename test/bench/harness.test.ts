import { describe, expect, it } from 'vitest'
import { interleave } from '../../bench/harness.js'
import { formatReport } from '../../bench/report.js'

describe('interleave', () => {
  it('runs every contender once per round and moves the first place on', async () => {
    const order: string[] = []
    const run = (name: string) => () => order.push(name)
    await interleave({ a: run('a'), b: run('b'), c: run('c') }, { rounds: 2, warmups: 1 })
    expect(order.join('')).toBe('abcbcacab')
  })

  it('keeps the samples of recorded rounds only, in order', async () => {
    let calls = 0
    const samples = await interleave({ only: async () => ++calls }, { rounds: 3, warmups: 2 })
    expect(samples).toEqual({ only: [3, 4, 5] })
  })
})

describe('formatReport', () => {
  it('shows configuration, aligned rows, and every ratio beside its aim', () => {
    const text = formatReport({
      name: 'sample',
      configuration: { rounds: 3 },
      rows: [
        { arrangement: 'map', 'us per op': 0.51234 },
        { arrangement: 'actor', 'us per op': 12_345.6, note: 'slow' },
      ],
      ratios: { growth: 1.2, vsMap: 0.5, bytes: 2400 },
      aims: { growth: { atMost: 1.5 }, vsMap: { atLeast: 1 } },
    })
    expect(text.split('\n')).toEqual([
      'sample',
      '  rounds: 3',
      '',
      'arrangement  us per op  note',
      '-----------  ---------  ----',
      'map              0.512',
      'actor           12,346  slow',
      '',
      'ratio   value  aim     met',
      '------  -----  ------  ---',
      'growth    1.2  <= 1.5  yes',
      'vsMap     0.5  >= 1    no',
      'bytes   2,400',
    ])
  })
})
