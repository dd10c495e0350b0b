import { describe, expect, it, vi } from 'vitest'
import { killMigration, migrationsUnderWay, type MigrationAborter } from '../../../src/node/admin/kill-migration.js'
import type { MigrationView } from '../../../src/node/snapshot.js'
import { migration, node } from './support/operators.js'

const source = `kill-migration:${migration(7)}`

describe('an accepted kill_migration', () => {
  it('[N-350] reaches the aborter once', () => {
    const abort = vi.fn<MigrationAborter['abort']>()
    expect(killMigration(migration(7), { aborter: { abort }, hasVerifier: true })).toBeUndefined()
    expect(abort.mock.calls).toEqual([[migration(7)]])
  })

  it('[N-350] that nothing can carry out is a failure where somebody has signed for it', () => {
    expect(killMigration(migration(7), { aborter: undefined, hasVerifier: true })).toEqual({
      source,
      reason: 'nothing here can abort a migration',
    })
    expect(killMigration(migration(7), { aborter: undefined, hasVerifier: false })).toBeUndefined()
  })

  it('[N-351] whose aborter throws, or answers later, is a failure and nothing else', async () => {
    const throwing: MigrationAborter = {
      abort: () => {
        throw new Error('no such migration')
      },
    }
    expect(killMigration(migration(7), { aborter: throwing, hasVerifier: false })).toEqual({
      source,
      reason: 'no such migration',
    })
    const late = { abort: () => Promise.reject(new Error('late')) as unknown as void }
    expect(killMigration(migration(7), { aborter: late, hasVerifier: true })).toEqual({
      source,
      reason: 'the aborter is asynchronous, and must not be',
    })
    // Its rejection is nobody's.
    await new Promise(setImmediate)
  })
})

describe('the migrations under way', () => {
  const view: MigrationView = {
    migration: migration(7),
    phase: 'transfer',
    elapsedMs: 10,
    sourceNode: node(1),
    targetNode: node(2),
    ageInPhaseMs: 5,
    retries: 0,
    bufferedEvents: 0,
  }

  it('[N-352] are what their source says, and none without one', () => {
    const onFault = vi.fn<(fault: unknown) => void>()
    expect(migrationsUnderWay({ migrations: () => [view] }, onFault)).toEqual([view])
    expect(migrationsUnderWay(undefined, onFault)).toEqual([])
    expect(onFault).not.toHaveBeenCalled()
  })

  it('[N-352] are none when their source fails, and that is told', () => {
    const onFault = vi.fn<(fault: unknown) => void>()
    const broken = [
      () => {
        throw new Error('gone')
      },
      () => Promise.reject(new Error('late')) as unknown as readonly MigrationView[],
      () => 7 as unknown as readonly MigrationView[],
    ]
    for (const migrations of broken) expect(migrationsUnderWay({ migrations }, onFault)).toEqual([])
    expect(onFault).toHaveBeenCalledTimes(3)
  })
})
