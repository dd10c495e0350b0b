import { systemClock } from '../../base/clock.js'
import { silentLogger } from '../../base/logger.js'
import { onAbort } from '../../base/abort.js'
import { randomToken, serveSource } from '../../inspect/server/inspector-server.js'
import { listenLocally } from '../../inspect/server/listen.js'
import { openSource } from '../../inspect/server/open-source.js'
import { locateJournal } from '../directory/locate.js'
import type { OutputTarget } from '../paint.js'
import { jsonLine, plain } from '../text.js'

/** Options of `stateward inspect`. */
export interface InspectCommand {
  /** Address of an inspector, a data directory, or a recording file. */
  readonly target: string
  /** Port to listen on; any free one if absent. */
  readonly port?: number
  /** Shows the contents of payloads, results and answers. */
  readonly values: boolean
  readonly json: boolean
}

/** Serves the inspector page for the target, on this machine only, until the signal aborts. */
export async function inspect(command: InspectCommand, output: OutputTarget, signal: AbortSignal): Promise<void> {
  const { target, port = 0, values, json } = command
  const clock = systemClock
  await using source = await openSource({ target, values, locate: locateJournal, clock, signal })
  const token = randomToken()
  const handler = serveSource({ source, token, clock, logger: silentLogger })
  await using server = await listenLocally(handler, port)
  const url = `http://127.0.0.1:${server.port}/${token}/`
  output.write(
    json
      ? `${jsonLine({ url })}\n`
      : `The inspector of ${plain(target)}, on this machine only:\n\n  ${url}\n\nPress Ctrl-C to stop it.\n`,
  )
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else onAbort(signal, () => resolve())
  })
}
