import type { Random } from './random-commands.js'

/** One process as plain rules have it; independent of everything under src. */
interface Known {
  readonly disposition: 'rerunnable' | 'owner_bound' | 'externally_owned'
  readonly maxAttempts: number | undefined
  status: string
  outcome: unknown
  events: { type: string; payload: unknown; key: string | undefined }[]
  started: { fence: number; attempt: number } | undefined
  wait: string | undefined
  abandoner: string | undefined
  ref: string | undefined
  fence: number
  holder: { owner: string; lease: number; expires: number } | undefined
  grants: Set<string>
  acked: Set<number>
  target: string | undefined
}

/** A lease that somebody was once given. */
interface Given {
  readonly process: string
  readonly owner: string
  readonly fence: number
}

const statusOf: Readonly<Record<string, string>> = {
  success: 'completed',
  failure: 'failed',
  cancelled: 'cancelled',
  abandoned: 'abandoned',
}

/**
 * What a store of processes should answer, said once more in the plainest way: it looks everything up by going through all
 * there is, and knows no locks, keys of lifecycle events or indexes.
 */
export class ProcessOracle {
  readonly processes = new Map<string, Known>()
  readonly pruned = new Map<string, string>()
  readonly leases: Given[] = []
  now = 0

  /** Does a command; gives back what its caller is told, in short. */
  run(command: Random): string {
    switch (command.type) {
      case 'advance':
        this.now += command.ms
        return 'ok'
      case 'reopen':
        return 'ok'
      case 'register':
        return this.#register(command)
      case 'prune':
        return this.#prune()
      case 'delete_session':
        return this.#deleteSession(command.session)
      case 'revoke':
        this.processes.get(command.process)?.grants.delete(command.session)
        return 'ok'
      case 'renew':
      case 'release':
      case 'complete_with_lease':
        return this.#underLease(command)
      default:
    }
    const known = this.processes.get(command.process)
    if (known === undefined) return 'process.unknown'
    if ('lease' in command && command.lease !== undefined) {
      if (!this.#holds(command.lease, command.process)) return 'process.lease_superseded'
    }
    switch (command.type) {
      case 'append':
        return this.#append(known, command)
      case 'complete':
        return this.#complete(known, command)
      case 'claim':
        return this.#claim(command.process, known, command.owner, command.ttl)
      case 'begin':
        return this.#claimAndBegin(known, command)
      case 'start':
        return this.#start(known, command)
      case 'wait':
        return this.#wait(known, command.name)
      case 'clear_wait':
        if (known.wait === undefined) return 'ok'
        known.events.push({ type: 'process.resumed', payload: undefined, key: undefined })
        known.wait = undefined
        return 'ok'
      case 'abandon':
        if (known.status !== 'running') return 'process.abandon_refused'
        if (known.abandoner !== undefined) return 'ok'
        known.abandoner = command.by
        known.events.push({ type: 'process.abandon_requested', payload: undefined, key: undefined })
        return 'ok'
      case 'set_ref':
        if (known.ref !== undefined) return known.ref === command.id ? 'ok' : 'process.external_ref_conflict'
        known.ref = command.id
        known.events.push({ type: 'process.external_ref_set', payload: undefined, key: undefined })
        return 'ok'
      case 'grant':
        known.grants.add(command.session)
        return 'ok'
      case 'ack':
        known.acked.add(command.sequence)
        return 'ok'
    }
  }

  /** Everything that can be seen, in short. */
  state(): unknown {
    const rows = [...this.processes].toSorted(([one], [other]) => (one < other ? -1 : 1))
    return {
      pruned: [...this.pruned].toSorted(([one], [other]) => (one < other ? -1 : 1)),
      processes: rows.map(([id, known]) => ({
        id,
        status: known.status,
        outcome: known.outcome,
        events: known.events.map(({ type, payload }) => [type, payload]),
        attempt: known.started?.attempt,
        wait: known.wait,
        abandoner: known.abandoner,
        ref: known.ref,
        lease: known.holder && [known.holder.owner, known.fence, known.holder.expires],
        grants: [...known.grants].toSorted(),
        target: known.target,
        wakes: this.#wakes(known),
      })),
      pending: rows.flatMap(([id, known]) =>
        known.target === undefined ? [] : this.#wakes(known).map((sequence) => `${id}:${sequence}`),
      ),
      work: rows
        .filter(([, { status, wait }]) => status === 'running' && (wait === undefined || wait === 'process'))
        .map(([id]) => id),
    }
  }

  #register({ process, disposition, maxAttempts, target }: Extract<Random, { type: 'register' }>): string {
    const known = this.processes.get(process)
    if (known !== undefined) {
      const isSame = known.disposition === disposition && known.maxAttempts === maxAttempts
      return isSame && this.#targets.get(process) === target ? 'ok' : 'process.registration_conflict'
    }
    this.pruned.delete(process)
    this.#targets.set(process, target)
    this.processes.set(process, {
      disposition,
      maxAttempts,
      status: 'running',
      outcome: undefined,
      events: [],
      started: undefined,
      wait: undefined,
      abandoner: undefined,
      ref: undefined,
      fence: 0,
      holder: undefined,
      grants: new Set(),
      acked: new Set(),
      target,
    })
    return 'ok'
  }

  /** As they were registered; what is registered again is compared with these. */
  readonly #targets = new Map<string, string | undefined>()

  #append(known: Known, { event, payload, key, lease }: Extract<Random, { type: 'append' }>): string {
    const there = key === undefined ? undefined : known.events.find((one) => one.key === key)
    if (there !== undefined) {
      return there.type === event && there.payload === payload ? 'replayed' : 'process.replay_conflict'
    }
    if (event === 'undeclared') return 'process.event_undeclared'
    if (event === 'end' && key === undefined) return 'process.event_key_required'
    if (event === 'note' && payload > 8) return 'process.event_payload_invalid'
    const isOver = known.status !== 'running'
    if (isOver && (event === 'end' || event === 'signal.go')) return 'process.already_terminal'
    // Whoever holds the lease of what is owned outside may give it up, and nothing else.
    const isOutside = known.disposition === 'externally_owned'
    if (event === 'end' && lease !== undefined && isOutside) return 'process.completion_unauthorized'
    known.events.push({ type: event, payload, key })
    if (event === 'end') this.#end(known, 'completed', { type: 'success', value: payload })
    return 'appended'
  }

  #complete(known: Known, { output, authority }: Extract<Random, { type: 'complete' }>): string {
    const isOutside = known.disposition === 'externally_owned'
    const fits =
      authority === 'external_owner'
        ? isOutside
        : authority === 'workflow_key'
          ? !isOutside
          : isOutside && output.type === 'abandoned'
    if (!fits) return 'process.completion_unauthorized'
    return this.#endOnce(known, output)
  }

  #endOnce(known: Known, output: { readonly type: string }): string {
    if (known.status !== 'running') {
      return JSON.stringify(known.outcome) === JSON.stringify(output) ? 'already_applied' : 'superseded'
    }
    const status = statusOf[output.type] as string
    known.events.push({ type: `process.${status}`, payload: undefined, key: undefined })
    this.#end(known, status, output)
    return 'committed'
  }

  #end(known: Known, status: string, outcome: unknown): void {
    known.status = status
    known.outcome = outcome
    known.wait = undefined
  }

  #claim(process: string, known: Known, owner: string, ttl: number): string {
    const { holder } = known
    if (holder !== undefined && holder.expires > this.now) {
      if (holder.owner !== owner) return 'busy'
      holder.expires = this.now + ttl
      this.leases.push(this.leases[holder.lease] as Given)
      return `acquired ${known.fence}`
    }
    known.fence += 1
    known.holder = { owner, lease: this.leases.length, expires: this.now + ttl }
    this.leases.push({ process, owner, fence: known.fence })
    return `acquired ${known.fence}`
  }

  #start(
    known: Known,
    { lease }: Extract<Random, { type: 'start' }>,
    fence = lease === undefined ? 0 : (this.leases[lease] as Given).fence,
  ): string {
    const isOutside = known.disposition === 'externally_owned'
    if (lease === undefined && !isOutside) return 'process.lease_superseded'
    const { started } = known
    if (started === undefined) {
      if (known.status !== 'running') return 'process.already_terminal'
      return this.#begin(known, fence, 1)
    }
    if (isOutside || started.fence === fence) return 'ok'
    if (known.status !== 'running') return 'process.already_terminal'
    if (known.disposition === 'owner_bound') return 'process.already_started'
    if (known.maxAttempts === started.attempt) {
      known.events.push({ type: 'process.abandoned', payload: undefined, key: undefined })
      this.#end(known, 'abandoned', 'gave up')
      known.holder = undefined
      return 'process.attempts_exhausted'
    }
    return this.#begin(known, fence, started.attempt + 1)
  }

  /** Both or neither. */
  #claimAndBegin(known: Known, { process, owner, ttl }: Extract<Random, { type: 'begin' | 'claim' }>): string {
    if (known.disposition === 'externally_owned') return 'process.disposition_unfit'
    if (known.status !== 'running') return 'ended'
    const { holder, started } = known
    const isHeld = holder !== undefined && holder.expires > this.now
    if (isHeld && holder.owner !== owner) return 'busy'
    const fence = isHeld ? known.fence : known.fence + 1
    if (ttl === 0) return 'process.lease_superseded'
    const isAgain = started !== undefined && started.fence !== fence
    if (isAgain && known.disposition === 'owner_bound') return 'process.already_started'
    if (isAgain && known.maxAttempts === started.attempt) known.fence = fence
    else this.#claim(process, known, owner, ttl)
    const begun = this.#start(known, { type: 'start', process, lease: this.leases.length - 1 }, fence)
    return begun === 'ok' ? `started ${fence}, ${known.started?.attempt}` : begun
  }

  #begin(known: Known, fence: number, attempt: number): string {
    known.started = { fence, attempt }
    known.events.push({ type: 'process.first_started', payload: undefined, key: undefined })
    return 'ok'
  }

  #wait(known: Known, name: string): string {
    if (known.status !== 'running') return 'process.wait_refused'
    const key = `wait ${name}`
    if (known.events.some((event) => event.key === key)) return 'ok'
    known.events.push({ type: 'process.waiting', payload: undefined, key })
    known.wait = name
    return 'ok'
  }

  #underLease(command: Extract<Random, { type: 'renew' | 'release' | 'complete_with_lease' }>): string {
    const given = this.leases[command.lease] as Given
    const known = this.processes.get(given.process)
    if (command.type === 'release') {
      if (known?.holder !== undefined && this.leases[known.holder.lease] === given) known.holder = undefined
      return 'ok'
    }
    if (known === undefined) return command.type === 'renew' ? 'process.lease_superseded' : 'process.unknown'
    if (command.type === 'renew') {
      if (!this.#holds(command.lease, given.process)) return 'process.lease_superseded'
      if (known.holder !== undefined) known.holder.expires = this.now + command.ttl
      return 'ok'
    }
    if (known.status === 'running') {
      if (!this.#holds(command.lease, given.process)) return 'process.lease_superseded'
      const isOutside = known.disposition === 'externally_owned'
      if (isOutside && command.output.type !== 'abandoned') return 'process.completion_unauthorized'
      known.holder = undefined
    }
    return this.#endOnce(known, command.output)
  }

  #holds(lease: number, process: string): boolean {
    const holder = this.processes.get(process)?.holder
    return holder !== undefined && holder.expires > this.now && this.leases[holder.lease] === this.leases[lease]
  }

  #wakes({ events, acked }: Known): number[] {
    return events.flatMap(({ type }, index) => (type === 'wake' && !acked.has(index + 1) ? [index + 1] : []))
  }

  #deleteSession(session: string): string {
    let revoked = 0
    const orphaned: string[] = []
    const preserved: string[] = []
    for (const [id, known] of this.processes) {
      const mine = [...known.grants].filter((scope) => scope === session)
      for (const scope of mine) known.grants.delete(scope)
      revoked += mine.length
      if (mine.length > 0 && known.status === 'running') (known.grants.size === 0 ? orphaned : preserved).push(id)
      if (known.target === session) known.target = undefined
    }
    return `revoked ${revoked}, orphaned ${orphaned.toSorted().join()}, preserved ${preserved.toSorted().join()}`
  }

  #prune(): string {
    let [processes, events] = [0, 0]
    for (const [id, known] of this.processes) {
      if (known.status === 'running' || (known.target !== undefined && this.#wakes(known).length > 0)) continue
      this.processes.delete(id)
      this.pruned.set(id, known.status)
      processes += 1
      events += known.events.length
    }
    return `pruned ${processes}, ${events}`
  }
}
