import { lstat } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { resolve } from 'node:path'
import { decodeJson } from '../../../base/decode.js'
import { messageOf } from '../../../base/errors.js'
import { encodeCommit, type SignedAttempt } from '../commit-document.js'
import { AdminError } from '../errors.js'
import { decodeSimulationView, type SimulationView } from '../simulation.js'
import { LineReader } from './line-reader.js'
import {
  answerSchema,
  mostAnswerBytes,
  receiptCodec,
  type AdminAnswer,
  type AdminReceipt,
  type AdminRequest,
} from './protocol.js'

const endedEarly = 'the connection ended before the answer'

/** Explanations of system error codes. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'nobody listens there',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: endedEarly,
  EPIPE: endedEarly,
}

/** How long to wait for an answer, in milliseconds: the node may be writing to a slow disk. */
const answerTimeoutMs = 30_000

/**
 * Submits a commit to the node that listens at a socket, and returns the outcome. If the connection ends before the
 * answer, the commit may have been accepted; submitting it again is safe and yields `replayed` if it was.
 *
 * Raises `admin.node_unreachable`, `admin.request_refused`, and `admin.file_exposed` for a socket that another user
 * owns.
 */
export async function submitCommit(path: string, attempt: SignedAttempt): Promise<AdminReceipt> {
  const answer = await ask(path, { type: 'submit', commit: encodeCommit(attempt) })
  if (answer.type !== 'receipt') throw unexpected(path)
  return receiptCodec.decode(answer.receipt)
}

/**
 * Reads what the node at a socket knows of its cluster, as far as a simulation needs it. Raises like {@link
 * submitCommit}.
 */
export async function readSimulationView(path: string): Promise<SimulationView> {
  const answer = await ask(path, { type: 'snapshot' })
  if (answer.type !== 'snapshot') throw unexpected(path)
  return decodeSimulationView(answer.snapshot)
}

async function ask(given: string, request: AdminRequest): Promise<Exclude<AdminAnswer, { readonly type: 'error' }>> {
  const path = resolve(given)
  await checkOwner(path)
  const line = await exchange(path, `${JSON.stringify(request)}\n`)
  const answer = decodeJson(answerSchema, line, { subject: 'answer of the node', maxBytes: mostAnswerBytes })
  if (answer.type === 'error') {
    throw new AdminError('admin.request_refused', { refusal: answer.code, reason: answer.message })
  }
  return answer
}

/** A socket made by another user could claim anything about the node. */
async function checkOwner(path: string): Promise<void> {
  let stat
  try {
    stat = await lstat(path)
  } catch (cause) {
    throw unreachable(path, cause)
  }
  const own = process.getuid?.()
  if (own === undefined || stat.uid === own || stat.uid === 0) return
  const reason = `it belongs to user ${stat.uid}, not to ${own}`
  throw new AdminError('admin.file_exposed', { path, reason, mode: stat.mode & 0o777 })
}

function exchange(path: string, request: string): Promise<string> {
  return new Promise((resolveLine, reject) => {
    const socket = createConnection(path)
    const reader = new LineReader(mostAnswerBytes)
    const fail = (reason: unknown): void => {
      socket.destroy()
      reject(unreachable(path, reason))
    }
    socket.setTimeout(answerTimeoutMs, () => fail(`no answer within ${answerTimeoutMs} ms`))
    socket.once('error', fail)
    socket.once('close', () => fail(endedEarly))
    socket.on('data', (bytes: Uint8Array) => {
      try {
        const lines = reader.take(bytes)
        const line = lines?.[0]
        if (lines === undefined) return fail('its answer is too long')
        if (line === undefined) return
        resolveLine(line)
        socket.destroy()
      } catch (cause) {
        fail(cause)
      }
    })
    socket.write(request)
  })
}

function unreachable(path: string, cause: unknown): Error {
  const { code } = cause as NodeJS.ErrnoException
  const reason = (code !== undefined && reasons[code]) || messageOf(cause)
  return new AdminError('admin.node_unreachable', { path, reason }, { cause })
}

function unexpected(path: string): Error {
  return new AdminError('admin.node_unreachable', { path, reason: 'it answered another question' })
}
