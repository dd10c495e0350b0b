import { defineErrors, type ErrorDataOf } from '../../base/define-errors.js'

interface OfFile {
  readonly path: string
}

const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`

const messages = {
  /** A key without its private half signs nothing. */
  'admin.public_key_only': ({ publicKey }: { readonly publicKey: string }) =>
    `the key ${publicKey} has no private half here: it cannot sign`,
  /** Not an ed25519 public key, or one that would let anybody sign. */
  'admin.public_key_invalid': ({ publicKey, reason }: { readonly publicKey: string; readonly reason: string }) =>
    `not a public key of an operator: ${publicKey}: ${reason}`,
  /** Two keys of a registry have one operator id, or the key is named twice. */
  'admin.operator_conflict': ({ operatorId }: { readonly operatorId: string }) =>
    `operator ${operatorId} is registered already`,
  /** There is no such file, or it cannot be read or written. */
  'admin.file_unusable': ({ path, reason }: OfFile & { readonly reason: string }) => `${path}: ${reason}`,
  /** Somebody else could read or change the file, or has put it there. */
  'admin.file_exposed': ({ path, reason, mode }: OfFile & { readonly reason: string; readonly mode: number }) =>
    `${path} is not private: ${reason} (its mode is ${octal(mode)})`,
  /** A key file is written once; nothing replaces it. */
  'admin.file_exists': ({ path }: OfFile) => `${path} is there already, and nothing replaces it`,
  /** Administration from outside needs a verifier that knows an operator. */
  'admin.no_operators': () => 'no operator is registered: the admin socket stays closed',
  /** The path of a socket has at most so many bytes. */
  'admin.socket_path_too_long': ({ path, longest }: OfFile & { readonly longest: number }) =>
    `the path of a socket has at most ${longest} bytes: ${path}`,
  /** Something else is there: the socket of a living node, or no socket at all. */
  'admin.socket_occupied': ({ path, reason }: OfFile & { readonly reason: string }) =>
    `cannot listen at ${path}: ${reason}`,
  /** No node listens there, or it went away before it had answered. */
  'admin.node_unreachable': ({ path, reason }: OfFile & { readonly reason: string }) =>
    `no node answers at ${path}: ${reason}`,
  /** The node refused what it was asked, by its own code. */
  'admin.request_refused': ({ refusal, reason }: { readonly refusal: string; readonly reason: string }) =>
    `the node refused: ${refusal}: ${reason}`,
  /** What is stored contradicts itself; nothing is guessed around it. */
  'admin.stored_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `the log of administration holds what cannot be: ${field}: ${reason}`,
}

/** Data of every error of administration, by code. */
export type AdminErrorData = ErrorDataOf<typeof messages>

/** Raised by keys, registries, files and sockets of administration. What a verifier refuses is a value, not an error. */
export const AdminError = defineErrors('AdminError', messages)
