import {
  Catalogue,
  type AppliedOf as Applied,
  type CommandOf as Command,
  type EventOf as Event,
} from '../state/catalogue.js'
import {
  actorDeregister,
  actorDeregistered,
  actorHeartbeat,
  actorHeartbeaten,
  actorRegister,
  actorRegistered,
  actorRow,
} from './actor.js'
import { questionAnswer, questionAnswered } from './answer.js'
import { attemptBegin, attemptBegun, attemptEnd, attemptEnded } from './attempt-steps.js'
import { attemptFinish, attemptFinished, attemptStart, attemptStarted } from './attempt.js'
import {
  budgetAllocate,
  budgetAllocated,
  budgetConsume,
  budgetConsumed,
  budgetExhausted,
  budgetReplenish,
  budgetReplenished,
  budgetRow,
} from './budget.js'
import { dependencyDeclare, dependencyDeclared, prerequisitesRow } from './dependencies.js'
import { runsForget, runsForgotten, tasksForget, tasksForgotten } from './forgetting.js'
import { enginePause, enginePaused, engineResume, engineResumed, engineRow } from './engine.js'
import {
  leaseAcquire,
  leaseAcquired,
  leaseExpire,
  leaseExpired,
  leaseHeartbeat,
  leaseHeartbeaten,
  leaseRelease,
  leaseReleased,
} from './lease.js'
import { answerRow } from './question.js'
import {
  budgetRelease,
  budgetReleased,
  budgetReserve,
  budgetReserved,
  budgetSettle,
  budgetSettled,
  reservationRow,
} from './reservation.js'
import {
  runCancelled,
  runCreate,
  runCreated,
  runResume,
  runResumed,
  runRow,
  runStateChanged,
  runStateTransition,
  runSuspend,
  runSuspended,
} from './run-commands.js'
import { scheduleChange, scheduleChanged } from './schedule.js'
import type { TaskTables } from './state.js'
import { stepRecord, stepRecorded, stepRow } from './step.js'
import {
  subscriptionCancel,
  subscriptionCancelled,
  subscriptionConsume,
  subscriptionConsumed,
  subscriptionCreate,
  subscriptionCreated,
  subscriptionRow,
  subscriptionTrigger,
  subscriptionTriggered,
} from './subscription.js'
import { feedRetentionRow, taskEndRow } from './task-end.js'
import { taskCreate, taskCreated } from './task-creation.js'
import { taskCancel, taskCancelled, taskRow } from './task.js'
import {
  capabilityGrant,
  capabilityGranted,
  capabilityRevoke,
  capabilityRevoked,
  grantRow,
  ledgerAppend,
  ledgerEntryAppended,
  ledgerRow,
  roleAssign,
  roleAssigned,
  roleRow,
  tenantCreate,
  tenantCreated,
  tenantRow,
} from './tenant.js'
import { tombstoneRow, tombstonesExpire, tombstonesExpired } from './tombstone.js'
import type { TaskView } from './view.js'
import {
  attemptGoOn,
  attemptWait,
  attemptWaiting,
  attemptWorking,
  waitBegin,
  waitBegun,
  waitEnd,
  waitEnded,
  waitRow,
} from './wait.js'

const commands = [
  taskCreate,
  runCreate,
  runStateTransition,
  attemptStart,
  attemptFinish,
  taskCancel,
  dependencyDeclare,
  runSuspend,
  runResume,
  leaseAcquire,
  leaseHeartbeat,
  leaseExpire,
  leaseRelease,
  enginePause,
  engineResume,
  budgetAllocate,
  budgetConsume,
  budgetReplenish,
  subscriptionCreate,
  subscriptionCancel,
  subscriptionTrigger,
  actorRegister,
  actorDeregister,
  actorHeartbeat,
  tenantCreate,
  roleAssign,
  capabilityGrant,
  capabilityRevoke,
  ledgerAppend,
  budgetReserve,
  budgetSettle,
  budgetRelease,
  subscriptionConsume,
  attemptBegin,
  attemptEnd,
  stepRecord,
  waitBegin,
  waitEnd,
  attemptWait,
  attemptGoOn,
  questionAnswer,
  scheduleChange,
  tasksForget,
  runsForget,
  tombstonesExpire,
] as const

const events = [
  taskCreated,
  runCreated,
  runStateChanged,
  attemptStarted,
  attemptFinished,
  taskCancelled,
  runCancelled,
  leaseAcquired,
  leaseHeartbeaten,
  leaseExpired,
  leaseReleased,
  enginePaused,
  engineResumed,
  dependencyDeclared,
  runSuspended,
  runResumed,
  budgetAllocated,
  budgetConsumed,
  budgetExhausted,
  budgetReplenished,
  subscriptionCreated,
  subscriptionTriggered,
  subscriptionCancelled,
  actorRegistered,
  actorDeregistered,
  actorHeartbeaten,
  tenantCreated,
  roleAssigned,
  capabilityGranted,
  capabilityRevoked,
  ledgerEntryAppended,
  budgetReserved,
  budgetSettled,
  budgetReleased,
  subscriptionConsumed,
  attemptBegun,
  attemptEnded,
  stepRecorded,
  waitBegun,
  waitEnded,
  attemptWaiting,
  attemptWorking,
  questionAnswered,
  scheduleChanged,
  tasksForgotten,
  runsForgotten,
  tombstonesExpired,
] as const

type CommandDefinition = (typeof commands)[number]

/** The payload of each command. */
export type CommandPayloads = {
  readonly [Definition in CommandDefinition as Definition['type']]: Omit<Command<Definition>, 'type'>
}

/** Name of a command. */
export type CommandType = CommandDefinition['type']

/** A command of one type. */
export type CommandOf<Type extends CommandType> = { readonly type: Type } & CommandPayloads[Type]

/** Any command. */
export type TaskCommand = { [Type in CommandType]: CommandOf<Type> }[CommandType]

/** What a command of one type reports that it did; actor and tenant commands report nothing (T-1). */
export type AppliedOf<Type extends CommandType> = Applied<Extract<CommandDefinition, { readonly type: Type }>>

/** What a successful command returns. */
export interface MutationOutcome<Type extends CommandType = CommandType> {
  /** Position in the history of commands, from 1. */
  readonly sequence: number
  readonly applied: Type extends CommandType ? AppliedOf<Type> : never
}

/** Any event. */
export type TaskEvent = Event<(typeof events)[number]>

/** Name of an event. */
export type EventType = TaskEvent['type']

/** An event of one type. */
export type EventOf<Type extends EventType> = Extract<TaskEvent, { readonly type: Type }>

/** The payload of each event, without its type, version and sequence. */
export type EventPayloads = { readonly [Type in EventType]: Omit<EventOf<Type>, 'type' | 'version' | 'sequence'> }

/** Every command name, in the order of docs/spec/tasks.md; later additions come last. */
export const commandTypes = commands.map(({ type }) => type) as readonly CommandType[]

/** Every event name, in the order listed above. */
export const eventTypes = events.map(({ type }) => type) as readonly EventType[]

/** All commands, events and rows of the tasks room. */
export const taskCatalogue = new Catalogue<TaskTables, TaskView, TaskEvent, TaskCommand>({
  subject: 'task',
  commands,
  events,
  rows: [
    engineRow,
    taskRow,
    tombstoneRow,
    prerequisitesRow,
    runRow,
    budgetRow,
    reservationRow,
    stepRow,
    waitRow,
    answerRow,
    subscriptionRow,
    actorRow,
    tenantRow,
    roleRow,
    grantRow,
    ledgerRow,
    feedRetentionRow,
    taskEndRow,
  ],
})
