import type { DetailedTask } from '../../../src/mcp/index.js'

/** Names the extension among capabilities. */
export const extension = 'io.modelcontextprotocol/tasks'

/** What a request says of itself. */
export interface Sent {
  /** Declares the extension. Default true. */
  readonly declares?: boolean
  readonly capabilities?: Readonly<Record<string, unknown>>
  /** Who is logged in. */
  readonly as?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly id?: string | number
}

/** An answer as it came. */
export interface Answered {
  readonly status: number
  readonly result?: Record<string, unknown> & Partial<DetailedTask> & { readonly resultType?: string }
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> }
}

/** The envelope of a request. */
export function metaOf({ declares = true, capabilities = { elicitation: {} } }: Sent): Record<string, unknown> {
  return {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {
      ...capabilities,
      ...(declares && { extensions: { [extension]: {} } }),
    },
  }
}

/** What a person says who agrees. */
export const accepted = (content: Readonly<Record<string, unknown>>) => ({ action: 'accept', content })
