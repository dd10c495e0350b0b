import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Locator, Page } from 'playwright-core'
import { createRuntime, defineDaemon } from 'stateward'
import { createInspectorHandler } from 'stateward/inspect'
import { parseNodeId } from 'stateward/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { browserPath, closeBrowserAtEnd, openPage } from './support/browser.js'
import { shows } from './support/screens.js'
import { openService } from './support/service.js'

closeBrowserAtEnd()

/** Goes to a screen by the menu. */
async function go(page: Page, title: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click()
  await shows(page, title)
}

/** The row of a list that has a link of this name. */
function rowOf(page: Page, name: string): Locator {
  return page.locator('.row', { has: page.getByRole('link', { name, exact: true }) })
}

/** Number of the newest entry of the stream. */
function newestOf(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const answer = await fetch('query', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ view: 'entries' }),
    })
    return ((await answer.json()) as { newest: number }).newest
  })
}

/** Resolves when the page can go back in time to where everything is known that was there before it. */
async function everythingTold(page: Page): Promise<void> {
  await page.waitForFunction(() => Number(document.querySelector<HTMLInputElement>('.travel input')?.min) > 1)
}

/** Resolves when the stream has told of a question; the work that asks it waits by then. */
async function questionTold(page: Page): Promise<void> {
  await page.waitForFunction(async () => {
    const answer = await fetch('query', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ view: 'entries', text: '"part":"question"' }),
    })
    return ((await answer.json()) as { entries: unknown[] }).entries.length > 0
  })
}

describe.skipIf(browserPath === undefined)('the page of a running service', () => {
  it('says in the overview what runs, what waits and what has ended, and follows it', async () => {
    const { url, gate, runtime } = await openService()
    const page = await openPage(url)
    const operations = page.locator('.card', { has: page.getByRole('heading', { name: 'Operations' }) })
    await operations.getByText('running 3', { exact: true }).waitFor()
    await operations.getByText('failed 1', { exact: true }).waitFor()
    await page.locator('.facts div', { hasText: 'open questions' }).locator('dd', { hasText: /^1$/ }).waitFor()
    gate.open()
    await operations.getByText('completed 3', { exact: true }).waitFor()
    await runtime.session('agent-1').run('another', () => 1).outcome
    await operations.getByText('completed 4', { exact: true }).waitFor()
    // A job that ends may be seen a moment later; none is left.
    await operations.getByText('running').waitFor({ state: 'detached' })
  })

  it('finds work by words that are a part of the address, and goes back to it', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await rowOf(page, 'fetch docs').waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('list fil')
    await page.getByText('1 found', { exact: true }).waitFor()
    expect(new URL(page.url()).hash).toBe('#/list?text=list+fil')
    await page.reload()
    await page.getByText('1 found', { exact: true }).waitFor()
    expect(await page.getByRole('searchbox').inputValue()).toBe('list fil')
    await page.getByLabel('failed', { exact: true }).check()
    await page.getByText('0 found', { exact: true }).waitFor()
    await page.getByText('Nothing matches.', { exact: true }).waitFor()
  })

  it('shows names and errors as text, whatever they hold', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByRole('link', { name: 'read <b>notes</b>', exact: true }).waitFor()
    await page.locator('.error').getByText('<img src=x onerror=alert(1)>', { exact: true }).waitFor()
    expect(await page.locator('main b, main img').count()).toBe(0)
  })

  it('shows the progress, the parts, the chart and the history of one item, lit where it is', async () => {
    const { url, gate } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByRole('link', { name: 'fetch docs', exact: true }).click()
    await page.locator('header.item').getByText('half of it', { exact: true }).waitFor()
    await page.locator('.chart g[data-state$="running"].lit').waitFor()
    expect(await page.locator('.chart g.lit[data-state$="completed"]').count()).toBe(0)
    gate.open()
    await page.locator('.chart g.lit[data-state$="completed"]').waitFor()
    await page.locator('.history li').first().waitFor()
  })

  it('draws every chart that there is', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Charts')
    const links = page.getByRole('table', { name: 'Charts' }).getByRole('link')
    const names = await links.allTextContents()
    expect(names.length).toBeGreaterThanOrEqual(10)
    for (const name of names) {
      await page.goto(`${url}#/machine/${encodeURIComponent(name)}`)
      await page.locator(`.chart[aria-label="Chart ${name}"] g.state`).first().waitFor()
    }
  })

  it('shows messages between actors, newest at the bottom', async () => {
    const { url, runtime } = await openService()
    const page = await openPage(url)
    await go(page, 'Messages')
    await page.locator('.message').first().waitFor()
    await runtime.session('agent-1').run('a late one', () => 1).outcome
    await page.locator('.message', { hasText: 'a late one begins' }).waitFor()
  })

  it('shows the feed of ends with its numbers', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Feeds')
    await page.getByRole('link', { name: 'session:agent-1', exact: true }).click()
    await shows(page, 'Feeds: session:agent-1')
    await rowOf(page, 'break').getByText('#1', { exact: true }).waitFor()
  })

  it('says who is missing at a barrier, what is asked, and what waits', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Waits')
    await page.getByText('3 of 3 are missing').waitFor()
    const question = page.getByRole('listitem').filter({ has: page.getByText('approval', { exact: true }) })
    await question.getByRole('link', { name: 'order-42', exact: true }).waitFor()
    await page.getByRole('link', { name: 'review-1', exact: true }).waitFor()
  })

  it('draws the tasks, and shows budgets, schedules and processes', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Tasks')
    await page.locator('.task').first().waitFor()
    await go(page, 'Budgets')
    await page
      .getByRole('row', { name: /order-42/ })
      .getByRole('cell', { name: '5,000', exact: true })
      .waitFor()
    await go(page, 'Schedules')
    const daily = page.getByRole('row', { name: /daily/ })
    await daily.getByRole('cell', { name: '0 6 * * *', exact: true }).waitFor()
    // Its runs are planned ahead, and none of them has been yet.
    expect(await daily.getByRole('cell').nth(3).textContent()).toBe('')
    await go(page, 'Processes')
    await rowOf(page, 'review-1').waitFor()
    expect(await page.getByRole('navigation').getByRole('link', { name: 'Node' }).count()).toBe(0)
  })

  it('shows what a node should be doing and what it does', async () => {
    const { url } = await openService(true, true)
    const page = await openPage(url)
    await go(page, 'Node')
    const daemon = page.getByRole('listitem').filter({ has: page.getByRole('link', { name: 'indexer', exact: true }) })
    await daemon.getByText('running', { exact: true }).waitFor()
    await daemon.getByText('should run', { exact: true }).waitFor()
  })

  it('shows the node of a directory as soon as there is one, and that its owner has gone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stateward-browser-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const dataDir = join(folder, 'data')
    await (await createRuntime({ dataDir })).close()
    const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
    const inspecting = spawn(process.execPath, [main, 'inspect', dataDir, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(async () => {
      const gone = once(inspecting, 'exit')
      inspecting.kill()
      await gone
    })
    const [line] = (await once(createInterface(inspecting.stdout), 'line')) as [string]
    const page = await openPage((JSON.parse(line) as { url: string }).url)
    await page.locator('.status', { hasText: 'not running' }).waitFor()
    const menu = page.getByRole('navigation')
    await menu.getByRole('link', { name: 'Processes', exact: true }).waitFor()
    expect(await menu.getByRole('link', { name: 'Node', exact: true }).count()).toBe(0)
    const indexer = defineDaemon('indexer', () => {})
    const node = { thisNode: parseNodeId('00000000000000a1'), daemons: [indexer] }
    const runtime = await createRuntime({ dataDir, node })
    await runtime.node.runDaemon(indexer)
    await page.locator('.status', { hasText: 'live' }).waitFor()
    await go(page, 'Node')
    await page.getByRole('link', { name: 'indexer', exact: true }).waitFor()
    await runtime.close()
    await page.locator('.status', { hasText: 'not running' }).waitFor()
  })

  it('travels through time: charts and lists are as they were recorded', async () => {
    const { url, gate, runtime } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await rowOf(page, 'fetch docs').getByText('half of it', { exact: true }).waitFor()
    await everythingTold(page)
    const before = await newestOf(page)
    gate.open()
    await runtime.session('agent-1').run('afterwards', () => 1).outcome
    await page.goto(`${url}#/list?types=operation&at=${before}`)
    await page.getByText(`as it was after entry ${before} of`).waitFor()
    const was = rowOf(page, 'fetch docs')
    await rowOf(page, 'afterwards').waitFor({ state: 'detached' })
    await was.getByText('running', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'now', exact: true }).click()
    await was.getByText('completed', { exact: true }).waitFor()
    await rowOf(page, 'afterwards').waitFor()
  })

  it('says where it cannot go back in time, and goes back for an item, feeds, waits and budgets', async () => {
    const { url, gate, runtime } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await rowOf(page, 'fetch docs').getByText('half of it', { exact: true }).waitFor()
    await everythingTold(page)
    await questionTold(page)
    const before = await newestOf(page)
    gate.open()
    await rowOf(page, 'fetch docs').getByText('completed', { exact: true }).waitFor()
    const [question] = runtime.tasks.questions()
    if (question === undefined) throw new Error('no question is open')
    await runtime.tasks.answer(question.taskId, 'approval', true)
    await page.getByRole('link', { name: 'fetch docs', exact: true }).click()
    await page.locator('header.item .phase', { hasText: 'completed' }).waitFor()
    await page.goto(`${page.url()}&at=${before}`)
    await page.locator('header.item .phase', { hasText: 'running' }).waitFor()
    await page.locator('.chart g.lit[data-state$="running"]').waitFor()
    await go(page, 'Schedules')
    await page.getByText('This screen shows how things are now').waitFor()
    await go(page, 'Processes')
    await rowOf(page, 'review-1').getByText('waiting', { exact: true }).waitFor()
    await go(page, 'Waits')
    await page.getByRole('link', { name: 'daily', exact: true }).first().waitFor()
    await page.getByText('3 of 3 are missing').waitFor()
    await page.getByRole('heading', { name: 'Open questions (1)', exact: true }).waitFor()
    await go(page, 'Budgets')
    await page.getByRole('row', { name: /order-42/ }).waitFor()
    await go(page, 'Feeds')
    await page
      .getByRole('row', { name: /session:agent-1/ })
      .getByRole('cell', { name: '#1', exact: true })
      .waitFor()
    await page.getByRole('link', { name: 'session:agent-1', exact: true }).click()
    await shows(page, 'Feeds: session:agent-1')
    await rowOf(page, 'break').waitFor()
    expect(await page.locator('main .row').count()).toBe(1)
    await page.getByRole('button', { name: 'now', exact: true }).click()
    await rowOf(page, 'fetch docs').waitFor()
    await go(page, 'Waits')
    await page.getByRole('heading', { name: 'Open questions (0)', exact: true }).waitFor()
    await page.getByRole('heading', { name: 'Barriers (0)', exact: true }).waitFor()
  })

  it('opens a recording that was saved, reads it in the page alone, and refuses what is none', async () => {
    const { url, gate } = await openService()
    const saved = Buffer.from(await (await fetch(`${url}recording`)).arrayBuffer())
    const page = await openPage(url)
    await go(page, 'Work')
    await rowOf(page, 'fetch docs').waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('link', { name: 'save recording' }).click()
    const recording = await readFile(await (await download).path())
    expect(recording.length).toBeGreaterThan(saved.length / 2)
    const input = page.getByLabel('Recording to open')
    await input.setInputFiles({ name: 'none.jsonl', mimeType: 'text/plain', buffer: Buffer.from('{"type":"else"}\n') })
    await page.getByText(/invalid recording/).waitFor()
    await page.locator('.status', { hasText: 'live' }).waitFor()

    gate.open()
    await rowOf(page, 'fetch docs').getByText('completed', { exact: true }).waitFor()
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    const hostile = '{"type":"row","n":1}\nnot json\n{"type":"actor"'
    await input.setInputFiles({
      name: 'kept.jsonl',
      mimeType: 'application/x-ndjson',
      buffer: Buffer.concat([recording, Buffer.from(hostile)]),
    })
    await page.locator('.source', { hasText: 'kept.jsonl' }).waitFor()
    // Until then the page goes on asking for what it shows, and for nothing else.
    expect(asked.filter((address) => !address.endsWith('/query'))).toEqual([])
    asked.length = 0
    await page.locator('.status', { hasText: '3 lines could not be understood' }).waitFor()
    await go(page, 'Work')
    await rowOf(page, 'fetch docs').getByText('running', { exact: true }).waitFor()
    await page.goto(`${url}#/machine/operation`)
    await page.locator('.chart g.lit[data-state$="running"]').waitFor()
    expect(asked).toEqual([])
    await page.getByRole('button', { name: 'close recording' }).click()
    await page.locator('.status', { hasText: 'live' }).waitFor()
    await go(page, 'Work')
    await rowOf(page, 'fetch docs').getByText('completed', { exact: true }).waitFor()
  })

  it('fits a chart into the page as long as it can be read, and shows it in full size when it is asked to', async () => {
    const { url } = await openService()
    const page = await openPage(`${url}#/machine/operation`, { width: 1100, height: 600 })
    const frame = page.locator('.chart')
    await page.locator('.chart g.state').first().waitFor()
    const width = (): Promise<number> => page.locator('.chart svg').evaluate((svg) => svg.getBoundingClientRect().width)
    const overflows = (): Promise<boolean> => frame.evaluate((element) => element.scrollWidth > element.clientWidth)
    expect(await overflows()).toBe(false)
    await page.getByRole('button', { name: 'full size', exact: true }).click()
    await page.getByRole('button', { name: 'full size', exact: true, pressed: true }).waitFor()
    expect(await overflows()).toBe(true)
    const full = await width()
    await page.getByRole('button', { name: 'full size', exact: true }).click()
    await page.getByRole('button', { name: 'full size', exact: true, pressed: false }).waitFor()
    await page.setViewportSize({ width: 360, height: 700 })
    expect(await overflows()).toBe(true)
    expect(await width()).toBeCloseTo(full * 0.66, -1)
  })

  it('offers nothing to do when it is for reading only, and the server refuses it all the same', async () => {
    const { url } = await openService()
    const page = await openPage(url, { expected: /status of 403/ })
    await go(page, 'Work')
    await page.getByRole('link', { name: 'fetch docs', exact: true }).click()
    await page.locator('.history li').first().waitFor()
    expect(await page.getByRole('button', { name: 'cancel', exact: true }).count()).toBe(0)
    const { status, code } = await page.evaluate(async () => {
      const answer = await fetch('action', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ action: 'pause' }),
      })
      return { status: answer.status, code: ((await answer.json()) as { code: string }).code }
    })
    expect({ status, code }).toEqual({ status: 403, code: 'inspector_read_only' })
  })

  it('cancels an operation and answers a question where actions are turned on', async () => {
    const { url, runtime } = await openService({ actions: true })
    const page = await openPage(url, { expected: /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_REFUSED/ })
    await go(page, 'Work')
    await page.getByRole('link', { name: 'list files', exact: true }).click()
    await page.getByRole('button', { name: 'cancel', exact: true }).click()
    await page.locator('.chart g.lit[data-state$="cancelled"]').waitFor()
    await go(page, 'Waits')
    await page.getByLabel('Answer to approval of order-42').fill('{"approved":true}')
    await page.keyboard.press('Enter')
    await page.getByText('Open questions (0)', { exact: true }).waitFor()
    await runtime.close({ policy: 'terminate' })
    await page.locator('.status', { hasText: /ended|connecting/ }).waitFor()
  })

  it('goes on when the service is started again at the same address', async () => {
    const token = 'a-token-that-stays-the-same'
    const open = async (port: number): Promise<{ port: number; close: () => Promise<void> }> => {
      const runtime = await createRuntime()
      const inspector = createInspectorHandler({ runtime, token })
      const server = createServer(inspector).listen(port, '127.0.0.1')
      await once(server, 'listening')
      await runtime.session('agent-1').run(port === 0 ? 'before' : 'after', () => 1).outcome
      const close = async (): Promise<void> => {
        await inspector[Symbol.asyncDispose]()
        await runtime.close()
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
      return { port: (server.address() as AddressInfo).port, close }
    }
    const first = await open(0)
    const page = await openPage(`http://127.0.0.1:${first.port}/${token}/#/list`, {
      expected: /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/,
    })
    await rowOf(page, 'before').waitFor()
    await first.close()
    await page.locator('.status', { hasText: /ended|connecting/ }).waitFor()
    const second = await open(first.port)
    onTestFinished(second.close)
    await page.locator('.status', { hasText: 'live' }).waitFor()
    await rowOf(page, 'after').waitFor()
    expect(await rowOf(page, 'before').count()).toBe(0)
  })

  it('says how many entries it has missed when it was away for too long', async () => {
    const { url, runtime } = await openService({ capacity: 64 })
    const page = await openPage(url, { expected: /ERR_INTERNET_DISCONNECTED/ })
    await page.context().setOffline(true)
    await page.evaluate(() => dispatchEvent(new Event('offline')))
    for (let index = 0; index < 100; index += 1)
      await runtime.session('agent-1').run(`unseen ${index}`, () => 1).outcome
    await page.context().setOffline(false)
    await page.reload()
    await page.goto(`${url}#/sequence`)
    await page.locator('.message').first().waitFor()
    const [first = 0] = await page
      .locator('.message .time')
      .evaluateAll((times) => times.map((time) => Number.parseInt(time.textContent ?? '', 10)))
    expect(first).toBeGreaterThan(100)
  })

  it('needs the whole address: without its secret nothing is shown', async () => {
    const { url } = await openService()
    expect((await fetch(new URL('/', url))).status).toBe(403)
    expect((await fetch(url.replace(/.{4}\/$/, 'xxxx/'))).status).toBe(403)
  })
})
