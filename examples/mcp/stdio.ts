/**
 * The same over stdio, as hosts start it: `node stdio.js DIRECTORY`. Unfinished work continues when it is started
 * again.
 */
import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import { openDoor } from './tools.js'

const [directory = '.stateward-mcp'] = process.argv.slice(2)
const { door, close } = await openDoor(directory)
const info = { name: 'exporter', version: '1.0.0' }
serveStdio((context) => door.attach(new McpServer(info), context), {
  transport: door.transport(new StdioServerTransport()),
})
process.stdin.on('end', () => void close())
