/** Strict decoders of `protocol.ts`: an unknown, missing or overlong field is refused by name. */
import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import type { JsonObject, JsonValue } from '../../base/json.js'
import { strictSchema } from '../../base/options.js'
import {
  actionNames,
  inspectorProtocol,
  itemPhases,
  itemTypes,
  viewNames,
  type ActionRequest,
  type BudgetRow,
  type FeedRow,
  type InspectedSource,
  type ItemRef,
  type ItemRow,
  type MachineDefinition,
  type OpenBarrier,
  type PartName,
  type QuestionRow,
  type RecordingHeader,
  type RecordingLine,
  type Sample,
  type ServerMessage,
  type ShownEvent,
  type StreamEntry,
  type ViewRequest,
} from './protocol.js'

/** The maximum nesting of a value. */
const deepestValue = 64

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const instant = v.pipe(v.number(), v.finite())
const count = v.pipe(v.number(), v.finite(), v.minValue(0))
const id = v.pipe(v.string(), v.minLength(1), v.maxLength(1024))
const text = v.pipe(v.string(), v.maxLength(16_384))
const search = v.pipe(v.string(), v.maxLength(256))
const reason = v.pipe(v.string(), v.maxLength(1024))
const value = v.custom<JsonValue>((input) => isValue(input, deepestValue), 'not a value of JSON, or too deep')
const fields = v.custom<JsonObject>(
  (input) => typeof input === 'object' && input !== null && !Array.isArray(input) && isValue(input, deepestValue),
  'not an object of JSON, or too deep',
)
const ids = (most: number) => v.pipe(v.array(id), v.maxLength(most))
const texts = (most: number) => v.pipe(v.array(text), v.maxLength(most))

function isValue(input: unknown, depth: number): boolean {
  if (input === null || typeof input === 'string' || typeof input === 'boolean') return true
  if (typeof input === 'number') return Number.isFinite(input)
  if (typeof input !== 'object' || depth === 0) return false
  return Object.values(input).every((part) => part === undefined || isValue(part, depth - 1))
}

const itemEntries = {
  type: v.picklist(itemTypes),
  id,
  session: v.exactOptional(id),
}

/** Accepts an {@link ItemRef}. */
export const itemSchema: v.GenericSchema<unknown, ItemRef> = strictSchema(itemEntries)

const rowSchema: v.GenericSchema<unknown, ItemRow> = strictSchema({
  ...itemEntries,
  name: text,
  kind: text,
  phase: v.picklist(itemPhases),
  status: text,
  waitsFor: v.exactOptional(text),
  progress: v.exactOptional(
    strictSchema({ message: text, fraction: v.exactOptional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))) }),
  ),
  error: v.exactOptional(text),
  attempt: v.exactOptional(natural),
  parent: v.exactOptional(itemSchema),
  owner: v.exactOptional(text),
  createdAtMs: v.exactOptional(instant),
  startedAtMs: v.exactOptional(instant),
  endedAtMs: v.exactOptional(instant),
})

/* ------------------------------------------------------------------ entries */

const placed = { n: positive, atMs: instant }
const eventSchema: v.GenericSchema<unknown, ShownEvent> = strictSchema({ type: text, data: v.exactOptional(fields) })
const states = ids(1000)

const partOf = <const Name extends PartName, Row>(part: Name, row: v.GenericSchema<unknown, Row>) =>
  strictSchema({ type: v.literal('part'), ...placed, part: v.literal(part), key: text, row: v.nullable(row) })

const feedSchema: v.GenericSchema<unknown, FeedRow> = strictSchema({
  feed: text,
  epochId: v.exactOptional(text),
  watermark: natural,
  droppedThrough: natural,
  kept: natural,
  cursors: v.pipe(v.array(strictSchema({ name: text, position: natural })), v.maxLength(100)),
})

const barrierSchema: v.GenericSchema<unknown, OpenBarrier> = strictSchema({
  id: text,
  session: text,
  turnId: text,
  members: natural,
  operations: ids(5000),
  unlisted: natural,
})

const questionSchema: v.GenericSchema<unknown, QuestionRow> = strictSchema({
  task: itemSchema,
  run: itemSchema,
  name: text,
  taskName: text,
  kind: text,
  description: v.exactOptional(text),
  whom: v.exactOptional(text),
  askedAtMs: instant,
  untilMs: v.exactOptional(instant),
})

const budgetSchema: v.GenericSchema<unknown, BudgetRow> = strictSchema({
  task: itemSchema,
  name: text,
  dimension: text,
  limit: count,
  consumed: count,
  reserved: count,
  isExhausted: v.boolean(),
})

const partSchema = v.variant('part', [
  partOf('feed', feedSchema),
  partOf('barrier', barrierSchema),
  partOf('question', questionSchema),
  partOf('budget', budgetSchema),
])

const entrySchemas = [
  strictSchema({
    type: v.literal('actor'),
    ...placed,
    actor: id,
    name: text,
    machine: v.exactOptional(id),
    parent: v.exactOptional(id),
    item: v.exactOptional(itemSchema),
    states,
    context: v.exactOptional(value),
  }),
  strictSchema({
    type: v.literal('transition'),
    ...placed,
    actor: id,
    event: eventSchema,
    source: v.exactOptional(id),
    states,
    context: v.exactOptional(value),
  }),
  strictSchema({
    type: v.literal('refused'),
    ...placed,
    actor: id,
    event: eventSchema,
    source: v.exactOptional(id),
    reason: text,
  }),
  strictSchema({ type: v.literal('end'), ...placed, actor: id, status: v.picklist(['done', 'error', 'stopped']) }),
  strictSchema({
    type: v.literal('fact'),
    ...placed,
    topic: text,
    name: text,
    items: v.pipe(v.array(itemSchema), v.maxLength(1000)),
    data: v.exactOptional(fields),
  }),
  strictSchema({ type: v.literal('row'), ...placed, row: rowSchema }),
  partSchema,
  strictSchema({ type: v.literal('gap'), ...placed, from: positive, reason: v.picklist(['slow', 'evicted', 'cut']) }),
] as const

/** Accepts a {@link StreamEntry}. */
export const entrySchema: v.GenericSchema<unknown, StreamEntry> = v.variant('type', [...entrySchemas])

/* ------------------------------------------------------------------ messages */

const sourceSchema: v.GenericSchema<unknown, InspectedSource> = strictSchema({
  type: v.picklist(['runtime', 'directory', 'recording']),
  name: text,
  isLive: v.boolean(),
})

const sampleSchema: v.GenericSchema<unknown, Sample> = strictSchema({
  atMs: instant,
  running: count,
  waiting: count,
  started: count,
  ended: count,
  failed: count,
  entries: count,
  dropped: count,
  journal: count,
})

const sampleMessage = strictSchema({ type: v.literal('sample'), sample: sampleSchema })

const messageSchema: v.GenericSchema<unknown, ServerMessage> = v.variant('type', [
  strictSchema({
    type: v.literal('hello'),
    protocol: v.literal(inspectorProtocol),
    release: text,
    stream: id,
    source: sourceSchema,
    views: v.array(v.picklist(viewNames)),
    actions: v.array(v.picklist(actionNames)),
    showsValues: v.boolean(),
    oldest: natural,
    newest: natural,
    nowMs: instant,
  }),
  strictSchema({ type: v.literal('entries'), oldest: natural, entries: v.array(entrySchema) }),
  sampleMessage,
  strictSchema({ type: v.literal('changed'), views: v.array(v.picklist(viewNames)) }),
  strictSchema({ type: v.literal('bye'), reason: text }),
])

/** Decodes a message of the stream. Raises `invalid_input`. */
export function decodeServerMessage(input: unknown): ServerMessage {
  return decode(messageSchema, input, 'message of the inspector')
}

/* ------------------------------------------------------------------ requests */

const limitUpTo = (most: number) =>
  v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(most)))
const windowEntries = { offset: v.exactOptional(natural), limit: limitUpTo(500) }
const past = { at: v.exactOptional(natural) }
const bare = <const Name extends string>(name: Name) => strictSchema({ view: v.literal(name) })
const windowed = <const Name extends string>(name: Name) => strictSchema({ view: v.literal(name), ...windowEntries })

const viewRequestSchema: v.GenericSchema<unknown, ViewRequest> = v.variant('view', [
  bare('overview'),
  strictSchema({
    view: v.literal('list'),
    ...windowEntries,
    ...past,
    types: v.exactOptional(v.array(v.picklist(itemTypes))),
    phases: v.exactOptional(v.array(v.picklist(itemPhases))),
    text: v.exactOptional(search),
    order: v.exactOptional(v.picklist(['changed', 'name', 'created'])),
  }),
  strictSchema({ view: v.literal('item'), item: itemSchema }),
  strictSchema({ view: v.literal('history'), ...windowEntries, item: itemSchema }),
  strictSchema({ view: v.literal('machines'), ...past }),
  strictSchema({ view: v.literal('machine'), machine: id, ...past }),
  strictSchema({
    view: v.literal('actors'),
    ...windowEntries,
    ...past,
    machine: v.exactOptional(id),
    text: v.exactOptional(search),
  }),
  strictSchema({
    view: v.literal('entries'),
    after: v.exactOptional(natural),
    before: v.exactOptional(natural),
    limit: limitUpTo(500),
    actor: v.exactOptional(id),
    item: v.exactOptional(itemSchema),
    text: v.exactOptional(search),
  }),
  strictSchema({ view: v.literal('feeds'), ...past }),
  strictSchema({ view: v.literal('feed'), feed: id, ...windowEntries, ...past }),
  strictSchema({ view: v.literal('waits'), ...past }),
  strictSchema({ view: v.literal('graph'), task: v.exactOptional(id), limit: limitUpTo(1000) }),
  strictSchema({ view: v.literal('budgets'), ...windowEntries, ...past }),
  windowed('schedules'),
  windowed('processes'),
  bare('node'),
])

/** Decodes a view request. Raises `invalid_input` naming the field. */
export function decodeViewRequest(input: unknown): ViewRequest {
  return decode(viewRequestSchema, input, 'view request')
}

const actionRequestSchema: v.GenericSchema<unknown, ActionRequest> = v.variant('action', [
  strictSchema({ action: v.literal('cancel'), item: itemSchema, reason: v.exactOptional(reason) }),
  strictSchema({ action: v.literal('terminate'), item: itemSchema, reason: v.exactOptional(reason) }),
  strictSchema({ action: v.literal('retry'), item: itemSchema }),
  strictSchema({ action: v.literal('answer'), item: itemSchema, name: id, value: v.exactOptional(value) }),
  strictSchema({ action: v.literal('pause') }),
  strictSchema({ action: v.literal('resume') }),
])

/** Decodes an action request. Raises `invalid_input` naming the field. */
export function decodeActionRequest(input: unknown): ActionRequest {
  return decode(actionRequestSchema, input, 'action request')
}

/* ------------------------------------------------------------------ recordings */

/** Accepts a {@link MachineDefinition}. */
export const machineSchema: v.GenericSchema<unknown, MachineDefinition> = strictSchema({
  id,
  description: v.exactOptional(text),
  states: v.pipe(
    v.array(
      strictSchema({
        id,
        key: id,
        parent: v.exactOptional(id),
        type: v.picklist(['atomic', 'compound', 'parallel', 'final', 'history']),
        initial: v.exactOptional(id),
        description: v.exactOptional(text),
        entry: texts(1000),
        exit: texts(1000),
        invokes: texts(1000),
        tags: texts(1000),
      }),
    ),
    v.minLength(1),
    v.maxLength(10_000),
  ),
  transitions: v.pipe(
    v.array(
      strictSchema({
        source: id,
        event: text,
        targets: ids(1000),
        guard: v.exactOptional(text),
        actions: texts(1000),
        description: v.exactOptional(text),
      }),
    ),
    v.maxLength(100_000),
  ),
})

const headerSchema: v.GenericSchema<unknown, RecordingHeader> = strictSchema({
  type: v.literal('stateward.recording'),
  version: v.literal(inspectorProtocol),
  release: text,
  source: sourceSchema,
  atMs: instant,
})

const bodyLineSchema: v.GenericSchema<unknown, Exclude<RecordingLine, RecordingHeader>> = v.variant('type', [
  strictSchema({ type: v.literal('machine'), machine: machineSchema }),
  sampleMessage,
  ...entrySchemas,
])

/** Decodes the first line of a recording. Raises `invalid_input`, also for another version. */
export function decodeRecordingHeader(input: unknown): RecordingHeader {
  return decode(headerSchema, input, 'recording')
}

/** Decodes any other line of a recording. Raises `invalid_input`. */
export function decodeRecordingLine(input: unknown): Exclude<RecordingLine, RecordingHeader> {
  return decode(bodyLineSchema, input, 'recording line')
}
