import { expect } from 'vitest'
import { readProcessStatus } from '../../src/base/process-status.js'

/** True while the process runs; one that only waits to be collected has ended. */
export function isRunning(pid: number): boolean {
  const status = readProcessStatus(pid)
  return status !== undefined && !status.hasEnded
}

/** Waits for the end of a process that is not a child of ours, of which nothing else tells. */
export async function expectGone(pid: number): Promise<void> {
  expect(pid).toBeGreaterThan(1)
  await expect.poll(() => isRunning(pid), { interval: 5, timeout: 5000 }).toBe(false)
}
