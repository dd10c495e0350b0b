import { onTestFinished } from 'vitest'
import type { Logger } from '../../../../src/base/logger.js'
import { createRuntime, type Runtime } from '../../../../src/runtime.js'
import type { RuntimeOptions } from '../../../../src/runtime-options.js'

/** A runtime that is closed when its test is over. */
export async function openRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const runtime = await createRuntime(options)
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  return runtime
}

/** Lets everything that is under way happen until something holds; a test that waits for ever times out. */
export async function until(holds: () => unknown): Promise<void> {
  while (!(await holds())) await new Promise(setImmediate)
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
}

/** Keeps what it is told. */
export function recordingLogger(): Logger & { readonly lines: { level: string; fields: object; message: string }[] } {
  const lines: { level: string; fields: object; message: string }[] = []
  const at =
    (level: string) =>
    (fields: object, message = ''): void =>
      void lines.push({ level, fields, message })
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
