import * as v from 'valibot'
import { StatewardError } from '../../../src/base/errors.js'
import { Catalogue, type AppliedOf, type CommandOf, type EventOf } from '../../../src/state/catalogue.js'
import { commandDefiner } from '../../../src/state/command.js'
import { eventDefiner } from '../../../src/state/event.js'
import { rowDefiner } from '../../../src/state/row.js'
import { SequenceCounter } from '../../../src/state/sequence.js'
import { EventStream } from '../../../src/state/stream.js'
import { Table } from '../../../src/state/table.js'

/** A room small enough to be checked by eye: accounts with balances that never fall below nothing. */
export interface Account {
  readonly accountId: string
  readonly balance: number
  /** Notes of users, whose keys are nobody's to rename. */
  readonly notes: Readonly<Record<string, string>>
}

export class BankTables {
  readonly sequence = new SequenceCounter()
  readonly accounts = new Table<string, Account>()
}

export class BankView {
  readonly #tables: BankTables

  constructor(tables: BankTables) {
    this.#tables = tables
  }

  account(accountId: string): Account | undefined {
    return this.#tables.accounts.latest(accountId)
  }
}

const defineEvent = eventDefiner<BankTables, BankView>()
const defineCommand = commandDefiner<BankView>()
const defineRow = rowDefiner<BankTables, BankView>()

const amount = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const accountFields = {
  accountId: v.string(),
  balance: v.number(),
  notes: v.record(v.string(), v.string()),
}

export const accountOpened = defineEvent('account_opened', {
  fields: accountFields,
  evolve: (draft, { accountId, balance, notes }) => {
    draft.put(draft.tables.accounts, accountId, { accountId, balance, notes })
  },
})

export const moneyMoved = defineEvent('money_moved', {
  fields: { fromAccountId: v.string(), toAccountId: v.string(), amount },
  version: 2,
  evolve: (draft, { fromAccountId, toAccountId, amount: moved }) => {
    add(draft, fromAccountId, -moved)
    add(draft, toAccountId, moved)
  },
})

function add(draft: Parameters<typeof moneyMoved.evolve>[0], accountId: string, change: number): void {
  const account = draft.view.account(accountId)
  if (account === undefined) throw new StatewardError('no_account', `no account ${accountId}`, { accountId })
  draft.put(draft.tables.accounts, accountId, { ...account, balance: account.balance + change })
}

const open = defineCommand('open', {
  fields: accountFields,
  check: ({ accountId }) => {
    if (accountId === '') throw new StatewardError('empty_account', 'an account has a name', {})
  },
  decide: (view, { type: _, ...account }, sequence) => {
    if (view.account(account.accountId) !== undefined) throw new StatewardError('known', 'known already', {})
    return { event: accountOpened.create(sequence, account), applied: { opened: account.accountId } }
  },
})

const move = defineCommand('move', {
  fields: { from: v.string(), to: v.string(), amount },
  decide: (view, command, sequence) => {
    const balance = view.account(command.from)?.balance
    if (balance === undefined || view.account(command.to) === undefined) {
      throw new StatewardError('no_account', 'no such account', {})
    }
    if (balance < command.amount) throw new StatewardError('overdrawn', 'not that much', {})
    const payload = { fromAccountId: command.from, toAccountId: command.to, amount: command.amount }
    return { event: moneyMoved.create(sequence, payload), applied: { left: balance - command.amount } }
  },
})

/** A move to an account that its decision does not look at: a fault of the room itself. */
const moveBlindly = defineCommand('move_blindly', {
  fields: { from: v.string(), to: v.string(), amount },
  decide: (_, command, sequence) => ({
    event: moneyMoved.create(sequence, {
      fromAccountId: command.from,
      toAccountId: command.to,
      amount: command.amount,
    }),
    applied: { left: 0 },
  }),
})

const accountRow = defineRow('account', {
  fields: accountFields,
  capture: (tables) => tables.accounts.rows(),
  restore: (draft, account) => draft.put(draft.tables.accounts, account.accountId, account),
})

const events = [accountOpened, moneyMoved] as const
const commands = [open, move, moveBlindly] as const

export type BankEvent = EventOf<(typeof events)[number]>
export type BankCommand = CommandOf<(typeof commands)[number]>
export type BankApplied = AppliedOf<(typeof commands)[number]>

/** A bank that nobody has opened yet, as it is made before a journal is read. */
export function createBank() {
  const tables = new BankTables()
  const latest = new BankView(tables)
  const catalogue = new Catalogue<BankTables, BankView, BankEvent, BankCommand>({
    subject: 'bank',
    events,
    commands,
    rows: [accountRow],
  })
  const stream = new EventStream({ name: 'bank', catalogue, tables, latest })
  return { tables, stream, catalogue, latest }
}

/** What readers see of a bank. */
export function balancesOf(tables: BankTables): Readonly<Record<string, number>> {
  return Object.fromEntries(Array.from(tables.accounts.rows(), ({ accountId, balance }) => [accountId, balance]))
}
