import { open, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { StatewardError } from '../../base/errors.js'
import type { RecordingFile } from './recording-index.js'

/** Opens a recording on disk. Rejects with `recording_unreadable`. */
export async function openRecordingFile(path: string): Promise<RecordingFile> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (cause) {
    throw new StatewardError('recording_unreadable', `the recording cannot be read: ${path}`, { path }, { cause })
  }
  return {
    name: basename(path),
    read: async (from, many) => {
      const { bytesRead, buffer } = await file.read(new Uint8Array(many), 0, many, from)
      return buffer.subarray(0, bytesRead)
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}
