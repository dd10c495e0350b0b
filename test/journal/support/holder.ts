/**
 * Holds the journal of a directory until it is killed: `holder.js DIRECTORY`. Says the number of a child that it leaves
 * running.
 */
import { spawn } from 'node:child_process'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'

const [directory = ''] = process.argv.slice(2)
const { journal } = await createDirectoryJournal({ directory }).open()
await journal.append(['held'])
const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore', detached: true })
process.stdout.write(`${child.pid}\n`)
