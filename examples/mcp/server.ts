/** An MCP server over Streamable HTTP: `node server.js DIRECTORY PORT`. */
import { serve } from '@hono/node-server'
import { faceOf, openDoor } from './tools.js'

const [directory = '.stateward-mcp', port = '0'] = process.argv.slice(2)
const face = faceOf(await openDoor(directory))
serve({ fetch: (request) => face(request), hostname: '127.0.0.1', port: Number(port) }, (info) => {
  console.log(JSON.stringify({ port: info.port }))
})
