import { resolve } from 'node:path'
import type { CallToolResult } from '@modelcontextprotocol/server'
import { onAbort } from '../base/abort.js'
import { messageOf } from '../base/errors.js'
import { createRuntime } from '../create-runtime.js'
import type { McpTask } from '../mcp/index.js'
import { runCommand } from '../work/children/run-command.js'
import { progressText } from './event-text.js'
import { expandTool } from './expand-tool.js'
import type { LoadedPlan } from './loaded-plan.js'
import type { PlannedTool } from './plan.js'
import { progressIn } from './run-tool.js'
import { UsageError } from './usage-error.js'
import { mismatchOf } from './verdict.js'

/** Options of `stateward mcp`. */
export interface McpCommand {
  readonly planFile: string
  /** Default: `.stateward/<plan name>-mcp`. */
  readonly dataDir?: string
}

/** Serves the tools of a plan over stdio, each as a durable MCP tool, until the host or the signal ends it. */
export async function serveMcp(file: LoadedPlan, dataDir: string, version: string, signal: AbortSignal): Promise<void> {
  const { server, stdio, door: mcp } = await packages()
  await using runtime = await createRuntime({ dataDir })
  const door = mcp.createMcpTasks(runtime)
  for (const tool of file.plan.tools) {
    const { name, description = `Runs ${tool.command}` } = tool
    door.tool(name, { description }, (_, task) => resultOf(tool, file, task))
  }
  await door.start()
  const info = { name: file.plan.name, version }
  const left = new Promise<void>((gone) => {
    process.stdin.once('end', gone)
    onAbort(signal, gone)
  })
  const served = stdio.serveStdio((context) => door.attach(new server.McpServer(info), context), {
    transport: door.transport(new stdio.StdioServerTransport()),
  })
  await left
  await served.close()
  door.close()
}

/** Imported on demand: most commands do not need them. */
async function packages() {
  try {
    const [server, stdio] = await Promise.all([
      import('@modelcontextprotocol/server'),
      import('@modelcontextprotocol/server/stdio'),
    ])
    return { server, stdio, door: await import('../mcp/index.js') }
  } catch (cause) {
    throw new UsageError(`mcp needs @modelcontextprotocol/server 2.4 or later: ${messageOf(cause)}`, undefined, {
      cause,
    })
  }
}

/**
 * Runs the tool as the plan says. The result is the last part of its output, after the reason if it did not end as
 * expected. Its progress is the status of the task.
 */
async function resultOf(tool: PlannedTool, file: LoadedPlan, task: McpTask): Promise<CallToolResult> {
  // A reference to another tool's output has no value here, and raises an error.
  const expanded = expandTool(tool, file, new Map())
  const { command, args, cwd, env, timeoutMs } = expanded
  const report = await runCommand(command, args, {
    cwd: resolve(file.home, cwd),
    env: { ...file.environment, ...env },
    signal: task.signal,
    onLine: (line) => {
      const progress = progressIn(tool, line)
      if (progress !== undefined) void task.status(progressText(progress.message, progress.fraction))
    },
    ...(timeoutMs !== undefined && { timeoutMs }),
  })
  const reason = mismatchOf(expanded, report)
  const output = { type: 'text' as const, text: report.outputTail }
  if (reason === undefined) return { content: [output] }
  const failed = { type: 'text' as const, text: `${tool.name}: ${reason}` }
  return { content: report.outputTail === '' ? [failed] : [failed, output], isError: true }
}
