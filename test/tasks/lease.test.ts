import { describe, expect, it } from 'vitest'
import { runStates, type RunState } from '../../src/tasks/index.js'
import { held, lease, move, reach, working } from './support/commands.js'
import { A1, R1 } from './support/ids.js'
import { given } from './support/specification.js'

describe('lease_acquire', () => {
  it('[T-145] holds a leased run and mints its sequence as the fencing token', () =>
    given(reach.leased)
      .when(lease('lease_acquire'))
      .accepts({
        event: { type: 'lease_acquired', runId: R1, owner: 'worker', expiresAtMs: 5000, atMs: 115 },
        applied: { type: 'lease_acquire', runId: R1, owner: 'worker', expiresAtMs: 5000, fencingToken: 5 },
        then: (projection) =>
          expect(projection.run(R1)?.lease).toEqual({
            owner: 'worker',
            expiresAtMs: 5000,
            fencingToken: 5,
            acquiredAtMs: 115,
            updatedAtMs: 115,
          }),
      }))

  it('[T-41] is legal in ready and leased only', async () => {
    await given(reach.ready).when(lease('lease_acquire')).accepts()
    for (const state of runStates.filter((state) => state !== 'ready' && state !== 'leased')) {
      await given(reach[state])
        .when(lease('lease_acquire'))
        .refuses('lease_invalid_run_state', { runId: R1, event: 'acquire', state })
    }
  })

  it('[T-134] refuses an unknown run, a second lease and an empty owner', async () => {
    await given().when(lease('lease_acquire')).refuses('lease_unknown_run', { runId: R1, event: 'acquire' })
    await given(held)
      .when(lease('lease_acquire', { owner: 'other' }))
      .refuses('lease_already_active', { runId: R1 })
    await given(reach.ready)
      .when(lease('lease_acquire', { owner: '' }))
      .refuses('empty_lease_owner', {})
  })
})

describe('lease_heartbeat', () => {
  it('[T-16] keeps or raises the expiry', async () => {
    await given(held)
      .when(lease('lease_heartbeat', { expiresAtMs: 6000, atMs: 118 }))
      .accepts({
        event: { type: 'lease_heartbeat', runId: R1, owner: 'worker', expiresAtMs: 6000, atMs: 118 },
        applied: { type: 'lease_heartbeat', runId: R1, owner: 'worker', expiresAtMs: 6000 },
        then: (projection) => {
          expect(projection.run(R1)?.lease).toMatchObject({
            expiresAtMs: 6000,
            fencingToken: 5,
            acquiredAtMs: 115,
            updatedAtMs: 118,
          })
          expect(projection.nextLeaseExpiresAtMs()).toBe(6000)
        },
      })
    await given(held)
      .when(lease('lease_heartbeat', { expiresAtMs: 5000 }))
      .accepts()
    await given(working)
      .when(lease('lease_heartbeat', { expiresAtMs: 7000 }))
      .accepts()
  })

  it('[T-16] refuses to lower the expiry', () =>
    given(held)
      .when(lease('lease_heartbeat', { expiresAtMs: 4999 }))
      .refuses('lease_heartbeat_expiry_regression', {
        runId: R1,
        previousExpiresAtMs: 5000,
        proposedExpiresAtMs: 4999,
      }))

  it('[T-16] refuses another owner before it looks at the expiry', () =>
    given(held)
      .when(lease('lease_heartbeat', { owner: 'other', expiresAtMs: 1 }))
      .refuses('lease_owner_mismatch', { runId: R1, event: 'heartbeat' }))

  it('[T-16] is legal in leased and running only', async () => {
    await given(reach.ready, lease('lease_acquire'))
      .when(lease('lease_heartbeat'))
      .refuses('lease_invalid_run_state', { runId: R1, event: 'heartbeat', state: 'ready' })
    await given(reach.leased)
      .when(lease('lease_heartbeat'))
      .refuses('lease_missing_active', { runId: R1, event: 'heartbeat' })
    await given().when(lease('lease_heartbeat')).refuses('lease_unknown_run', { runId: R1, event: 'heartbeat' })
  })
})

describe.each([
  ['lease_expire', 'expire', 'lease_expired'],
  ['lease_release', 'release', 'lease_released'],
] as const)('%s', (type, event, fact) => {
  it('[T-42, T-144] makes a leased run ready, with a history entry of its own', () =>
    given(held)
      .when(lease(type, { atMs: 200 }))
      .accepts({
        event: { type: fact, runId: R1, owner: 'worker', expiresAtMs: 5000, atMs: 200 },
        applied: { type, runId: R1, owner: 'worker', expiresAtMs: 5000 },
        then: (projection) => {
          expect(projection.run(R1)).toMatchObject({ state: 'ready', lastStateChangeAtMs: 200 })
          expect(projection.run(R1)).not.toHaveProperty('lease')
          expect(projection.run(R1)?.history.at(-1)).toEqual({ from: 'leased', to: 'ready', atMs: 200 })
        },
      }))

  it('[T-42] only frees the lease of a ready or running run', async () => {
    await given(reach.ready, lease('lease_acquire'))
      .when(lease(type))
      .accepts({ then: (projection) => expect(projection.run(R1)?.state).toBe('ready') })
    await given(working)
      .when(lease(type))
      .accepts({
        then: (projection) => {
          expect(projection.run(R1)).toMatchObject({ state: 'running', currentAttemptId: A1 })
          expect(projection.run(R1)).not.toHaveProperty('lease')
        },
      })
  })

  it('[T-17] refuses a run without a lease under its own name', () =>
    given(reach.leased).when(lease(type)).refuses('lease_missing_active', { runId: R1, event }))

  it('[T-17] refuses another owner, then another expiry', async () => {
    await given(held)
      .when(lease(type, { owner: 'other', expiresAtMs: 1 }))
      .refuses('lease_owner_mismatch', { runId: R1, event })
    await given(held)
      .when(lease(type, { expiresAtMs: 4000 }))
      .refuses('lease_expiry_mismatch', { runId: R1, event, expectedExpiresAtMs: 5000, providedExpiresAtMs: 4000 })
  })

  it('[T-45] refuses an expiry that a heartbeat has replaced', () =>
    given(held, lease('lease_heartbeat', { expiresAtMs: 6000 }))
      .when(lease(type, { expiresAtMs: 5000 }))
      .refuses('lease_expiry_mismatch', { runId: R1, event, expectedExpiresAtMs: 6000, providedExpiresAtMs: 5000 }))

  it('[T-17] refuses states that hold no lease', async () => {
    const states: RunState[] = ['scheduled', 'retry_wait', 'suspended', 'completed', 'failed', 'cancelled']
    for (const state of states) {
      await given(reach[state]).when(lease(type)).refuses('lease_invalid_run_state', { runId: R1, event, state })
    }
    await given().when(lease(type)).refuses('lease_unknown_run', { runId: R1, event })
  })
})

it('[T-15] follows a lease through acquire, heartbeat and release', () =>
  given(
    reach.ready,
    lease('lease_acquire'),
    move('ready', 'leased', { fencingToken: 4 }),
    lease('lease_heartbeat', { expiresAtMs: 6000 }),
  )
    .when(lease('lease_release', { expiresAtMs: 6000 }))
    .accepts({
      then: (projection) => {
        expect(projection.run(R1)?.state).toBe('ready')
        expect(projection.run(R1)?.lease).toBeUndefined()
      },
    }))
