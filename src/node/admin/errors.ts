import { defineErrors, type ErrorDataOf } from '../../base/define-errors.js'

interface OfFile {
  readonly path: string
}

const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`

const messages = {
  /** A key without its private half cannot sign. */
  'admin.public_key_only': ({ publicKey }: { readonly publicKey: string }) =>
    `the key ${publicKey} cannot sign: its private key is not here`,
  /** Not an ed25519 public key, or one that would let anybody sign. */
  'admin.public_key_invalid': ({ publicKey, reason }: { readonly publicKey: string; readonly reason: string }) =>
    `not an operator's public key: ${publicKey}: ${reason}`,
  /** Two keys of a registry have the same operator id, or one key is listed twice. */
  'admin.operator_conflict': ({ operatorId }: { readonly operatorId: string }) =>
    `operator ${operatorId} is already registered`,
  /** The file does not exist, or cannot be read or written. */
  'admin.file_unusable': ({ path, reason }: OfFile & { readonly reason: string }) => `${path}: ${reason}`,
  /** Another user can read or change the file, or owns it. */
  'admin.file_exposed': ({ path, reason, mode }: OfFile & { readonly reason: string; readonly mode: number }) =>
    `${path} is not private: ${reason} (its mode is ${octal(mode)})`,
  /** A key file is written once and never overwritten. */
  'admin.file_exists': ({ path }: OfFile) => `${path} already exists and is never overwritten`,
  /** Administration from outside needs a verifier that knows at least one operator. */
  'admin.no_operators': () => 'no operator is registered: the admin socket stays closed',
  /** The path of a socket exceeds the maximum length in bytes. */
  'admin.socket_path_too_long': ({ path, longest }: OfFile & { readonly longest: number }) =>
    `the path of a socket may have at most ${longest} bytes: ${path}`,
  /** The path is taken, by the socket of a running node or by something that is not a socket. */
  'admin.socket_occupied': ({ path, reason }: OfFile & { readonly reason: string }) =>
    `cannot listen at ${path}: ${reason}`,
  /** No node listens there, or it went away before it answered. */
  'admin.node_unreachable': ({ path, reason }: OfFile & { readonly reason: string }) =>
    `no node answers at ${path}: ${reason}`,
  /** The node refused the request; `refusal` is the code of its refusal. */
  'admin.request_refused': ({ refusal, reason }: { readonly refusal: string; readonly reason: string }) =>
    `the node refused: ${refusal}: ${reason}`,
  /** Stored data contradicts itself; stateward does not guess. */
  'admin.stored_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `the admin log is corrupt: ${field}: ${reason}`,
}

/** Data of every error of administration, by code. */
export type AdminErrorData = ErrorDataOf<typeof messages>

/** Raised by keys, registries, files and sockets of administration. A verifier returns its refusals as values. */
export const AdminError = defineErrors('AdminError', messages)
