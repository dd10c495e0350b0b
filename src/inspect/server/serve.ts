import type { OpenInspector } from '../../runtime.js'
import { createInspectorHandler } from './handler.js'
import { listenLocally } from './listen.js'

/** Serves the inspector of a runtime on this machine only, at an address that contains a secret. */
export const openInspector: OpenInspector = async (runtime, { port = 0, ...shown }, { clock, logger, mask }) => {
  const handler = createInspectorHandler({ ...(mask !== undefined && { mask }), ...shown, runtime, clock, logger })
  const server = await listenLocally(handler, port)
  return {
    url: `http://127.0.0.1:${server.port}${handler.path}`,
    [Symbol.asyncDispose]: async () => {
      await handler[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}
