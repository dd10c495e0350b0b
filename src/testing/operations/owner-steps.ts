import type { OperationsStep } from './step.js'

/** Ends everything that is live. */
export function terminateOwnerStep(): OperationsStep {
  const name = 'terminate the owner'
  return {
    name,
    run: (oracle, driver) => {
      const { isWriting: leans } = oracle
      const before = [...oracle.staged]
      const verdict = oracle.terminateOwner('owner left')
      // Ends started by other calls count: the owner has not ended before they are durable. Those that follow do not.
      const isStaged = oracle.staged.some((end) => end.isOwed !== true || before.includes(end))
      driver.expect(name, driver.call('terminateOwner', 'owner left'), { verdict, leans, isStaged })
    },
  }
}

/** Refuses new operations from now on. */
export function drainStep(): OperationsStep {
  const name = 'drain the owner'
  return {
    name,
    isPossible: ({ owner }) => owner === 'open',
    run: (oracle, driver) => {
      oracle.owner = 'draining'
      driver.expect(name, driver.call('drain'), { verdict: {} })
    },
  }
}

/** Terminates the running operations and refuses every later change; for a system whose calls are awaited. */
export function retireOwnerStep(): OperationsStep {
  const name = 'retire the owner'
  return {
    name,
    isPossible: ({ owner }) => owner !== 'retired',
    run: (oracle, driver) => {
      // Queued operations find the owner closed.
      oracle.owner = 'draining'
      const verdict = oracle.terminateOwner('owner gone')
      oracle.owner = 'retired'
      driver.expect(name, driver.call('retireOwner', 'owner gone'), { verdict })
    },
  }
}
