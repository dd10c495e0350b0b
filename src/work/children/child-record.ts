import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { decodeJson } from '../../base/decode.js'
import { StatewardError } from '../../base/errors.js'
import { identify, type ProcessIdentity } from './marked-processes.js'

const identitySchema: v.GenericSchema<unknown, ProcessIdentity> = v.strictObject({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(2)),
  startTime: v.string(),
  bootId: v.string(),
})

const fileName = 'child.json'
const maxRecordBytes = 1024

/**
 * Records in the directory which process the child is, in case its supervisor is killed: a child that has cleared its
 * environment has lost its mark.
 */
export function writeChildRecord(directory: string, pid: number): void {
  const identity = identify(pid)
  if (identity === undefined) return
  const path = join(directory, fileName)
  writeFileSync(`${path}.new`, JSON.stringify(identity), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** The recorded process of the child; `undefined` if there is no record, or none that can be read. */
export function readChildRecord(directory: string): ProcessIdentity | undefined {
  const path = join(directory, fileName)
  try {
    return decodeJson(identitySchema, readFileSync(path, 'utf8'), { subject: path, maxBytes: maxRecordBytes })
  } catch (error) {
    if (StatewardError.is(error, 'invalid_input') || (error as NodeJS.ErrnoException).code === 'ENOENT')
      return undefined
    throw error
  }
}
