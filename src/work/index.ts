export {
  DurableContext,
  DurableError,
  longestDurableName,
  type Callable,
  type DurableContextOptions,
  type DurableErrorData,
  type StepOptions,
  type StepScope,
  type WaitForOptions,
} from './durable-context.js'
export type { DurableAnswer, DurableLog, DurableWait, RecordedStep, RecordedWait, StepReceipt } from './durable-log.js'
export { Job, type JobEnd, type JobInfo, type JobOptions } from './job.js'
export { JobList } from './job-list.js'
export { LeaseKeeper, type KeptLease, type LeaseKeeperOptions } from './lease-keeper.js'
export {
  Slots,
  type KindLimits,
  type Rate,
  type Slot,
  type SlotBlock,
  type SlotClaim,
  type SlotsOptions,
} from './slots.js'
export { DurableEnd, type DurableEndOptions } from './until-durable.js'
export { checkValue, decodeValue, encodeValue, type InputOf, type OutputOf, type Schema } from './values.js'
