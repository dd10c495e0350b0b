import { join } from 'node:path'
import { readWhole, type ReadableFiles } from './file-system.js'
import type { ReplayPart } from './replay.js'
import { corruptError, readSegment, segmentHeaderBytes, segmentSequence, type Damage } from './segment.js'
import type { SegmentFile, SegmentPosition } from './segment-log.js'
import { readSnapshot, snapshotSequence, type SnapshotFile } from './snapshot-file.js'
import { temporarySuffix } from './spare-segment.js'

/** A log that ends too early: bad bytes after its last whole frame, or records missing that once existed. */
export interface BrokenEnd {
  /** `missing_records`: the log is intact but shorter than when it was last closed. */
  readonly cause: 'torn_write' | 'damage' | 'missing_records'
  /** The file that the log ends in; the directory if there is none. */
  readonly path: string
  readonly damage: Damage
  /** The first missing sequence. */
  readonly sequence: number
}

/** The content of a journal directory. Examining it changes nothing. */
export interface Findings {
  readonly nextSequence: number
  readonly snapshot?: SnapshotFile
  /** The segments in use, oldest first. */
  readonly segments: readonly SegmentFile[]
  /** Where writing continues in the last of them. */
  readonly position?: SegmentPosition
  readonly replay: readonly ReplayPart[]
  readonly brokenEnd?: BrokenEnd
  /** Unused files: unfinished ones, and those that a snapshot has replaced. */
  readonly leftovers: readonly string[]
}

/**
 * Examines a journal directory in one pass over the records that the newest whole snapshot does not contain.
 *
 * Every record through `closedAt` must be there, or the end is broken; a torn write before it counts as damage.
 * Throws `journal_corrupt` for damage elsewhere: before a whole frame, another format version, a gap between
 * sequences, a damaged snapshot whose records are gone (T-61, T-64).
 */
export async function examineDirectory(
  fileSystem: ReadableFiles,
  directory: string,
  closedAt: number,
): Promise<Findings> {
  const names = (await fileSystem.list(directory)).sort()
  const { snapshot, damaged, replaced } = await findSnapshot(fileSystem, directory, names)
  const base = snapshot?.through ?? 0
  const log = await new LogExamination(fileSystem, base).run(segmentFiles(directory, names), damaged)
  const temporary = names.filter((name) => name.endsWith(temporarySuffix)).map((name) => join(directory, name))
  const leftovers = [...temporary, ...replaced, ...log.leftovers]
  const brokenEnd = judgeEnd(log, directory, closedAt)
  return { ...log, leftovers, ...(snapshot && { snapshot }), ...(brokenEnd && { brokenEnd }) }
}

function judgeEnd(
  { brokenEnd, nextSequence, replay }: LogFindings,
  directory: string,
  closedAt: number,
): BrokenEnd | undefined {
  if (nextSequence > closedAt) return brokenEnd
  if (brokenEnd !== undefined) return { ...brokenEnd, cause: 'damage' }
  const { path, end: offset } = replay.at(-1) ?? { path: directory, end: 0 }
  return { cause: 'missing_records', path, damage: { offset, reason: 'missing_records' }, sequence: nextSequence }
}

function segmentFiles(directory: string, names: readonly string[]): SegmentFile[] {
  return names.flatMap((name) => {
    const firstSequence = segmentSequence(name)
    return firstSequence === undefined ? [] : [{ firstSequence, path: join(directory, name) }]
  })
}

interface DamagedSnapshot {
  readonly through: number
  readonly path: string
  readonly damage: Damage
}

interface FoundSnapshots {
  readonly snapshot?: SnapshotFile
  /** The newest snapshot, if it is damaged. All records that it replaced must still exist. */
  readonly damaged?: DamagedSnapshot
  /** Older snapshots of which the current one uses no part. */
  readonly replaced: readonly string[]
}

async function findSnapshot(
  fileSystem: ReadableFiles,
  directory: string,
  names: readonly string[],
): Promise<FoundSnapshots> {
  const candidates = names.flatMap((name) => {
    const through = snapshotSequence(name)
    return through === undefined ? [] : [{ through, path: join(directory, name) }]
  })
  let damaged: DamagedSnapshot | undefined
  for (let candidate = candidates.pop(); candidate !== undefined; candidate = candidates.pop()) {
    const { through } = candidate
    const reading = await readSnapshot(fileSystem, directory, through)
    if ('whole' in reading) {
      const { whole } = reading
      const replaced = candidates.filter((older) => !whole.files.has(older.through)).map(({ path }) => path)
      return damaged === undefined ? { snapshot: whole, replaced } : { snapshot: whole, replaced, damaged }
    }
    const { damage, file } = reading
    const isForeign = damage.offset === 0 && damage.reason === 'unsupported_version'
    if (isForeign) throw corruptError(file, damage)
    damaged ??= { through, path: file, damage }
  }
  return damaged === undefined ? { replaced: [] } : { replaced: [], damaged }
}

type LogFindings = Omit<Findings, 'snapshot'>

/** One pass over the segments, in order. */
class LogExamination {
  readonly #fileSystem: ReadableFiles
  /** Records up to here are in the snapshot. */
  readonly #base: number
  readonly #segments: SegmentFile[] = []
  readonly #replay: ReplayPart[] = []
  readonly #leftovers: string[] = []
  #nextSequence: number | undefined
  #position: SegmentPosition | undefined
  #brokenEnd: BrokenEnd | undefined

  constructor(fileSystem: ReadableFiles, base: number) {
    this.#fileSystem = fileSystem
    this.#base = base
  }

  async run(segments: readonly SegmentFile[], damagedSnapshot: DamagedSnapshot | undefined): Promise<LogFindings> {
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]
      // The snapshot contains all of its records: an interrupted compaction has left the file behind.
      if (next !== undefined && next.firstSequence <= this.#base + 1) this.#leftovers.push(segment.path)
      else await this.#examine(segment, damagedSnapshot)
    }
    const nextSequence = this.#nextSequence ?? this.#base + 1
    if (damagedSnapshot !== undefined && nextSequence <= damagedSnapshot.through) throw snapshotError(damagedSnapshot)
    const last = this.#replay.at(-1)
    const stop = this.#brokenEnd ?? (last && { path: last.path, damage: { offset: last.end, reason: 'sequence_gap' } })
    if (nextSequence <= this.#base && stop !== undefined) throw corruptError(stop.path, stop.damage)
    return {
      nextSequence,
      segments: this.#segments,
      replay: this.#replay,
      leftovers: this.#leftovers,
      ...(this.#position && { position: this.#position }),
      ...(this.#brokenEnd && { brokenEnd: this.#brokenEnd }),
    }
  }

  async #examine(segment: SegmentFile, damagedSnapshot: DamagedSnapshot | undefined): Promise<void> {
    const { path, firstSequence } = segment
    const bytes = await readWhole(this.#fileSystem, path)
    const { frames, end, nextSequence, damage, verdict } = await readSegment(bytes, firstSequence)
    if (damage !== undefined && verdict === 'refused') throw corruptError(path, damage)
    const expected = this.#nextSequence ?? this.#base + 1
    if (frames.length === 0 && damage === undefined && firstSequence < expected) {
      // Prepared for records that were then written elsewhere.
      this.#leftovers.push(path)
      return
    }
    // Only the first segment may begin inside the snapshot.
    const follows = this.#nextSequence === undefined ? firstSequence <= expected : firstSequence === expected
    if (this.#brokenEnd !== undefined && (!follows || frames.length > 0 || damage !== undefined)) {
      throw corruptError(this.#brokenEnd.path, this.#brokenEnd.damage)
    }
    if (!follows && damagedSnapshot !== undefined) throw snapshotError(damagedSnapshot)
    if (!follows) throw corruptError(path, { offset: 0, reason: 'sequence_gap' })
    if (damage !== undefined) {
      const cause = verdict === 'torn' ? 'torn_write' : 'damage'
      this.#brokenEnd = { cause, path, damage, sequence: nextSequence }
    }
    this.#nextSequence = nextSequence
    // Without a mark, nothing of it can be used.
    if (end < segmentHeaderBytes) return
    this.#segments.push(segment)
    this.#replay.push({ ...segment, end })
    this.#position = { position: end, capacity: damage === undefined ? bytes.length : end }
  }
}

function snapshotError({ path, damage }: DamagedSnapshot): Error {
  return corruptError(path, damage)
}
