import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { createRuntime } from 'stateward'
import { createInspectorHandler } from 'stateward/inspect'
import { describe, expect, it, onTestFinished } from 'vitest'
import { browserPath, closeBrowserAtEnd, openPage } from './support/browser.js'
import { openService } from './support/service.js'

closeBrowserAtEnd()

/** Goes to a screen by the menu. */
async function go(page: Page, title: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click()
  await page.locator('nav a[aria-current="page"]', { hasText: title }).waitFor()
}

describe.skipIf(browserPath === undefined)('the page of a running service', () => {
  it('says in the overview what runs, what waits and what has ended, and follows it', async () => {
    const { url, gate, runtime } = await openService()
    const page = await openPage(url)
    const operations = page.locator('.card', { has: page.getByRole('heading', { name: 'Operations' }) })
    await operations.getByText('running 3').waitFor()
    await operations.getByText('failed 1').waitFor()
    await page.locator('.card', { hasText: 'open questions' }).getByText('1', { exact: true }).first().waitFor()
    gate.open()
    await operations.getByText('completed 3').waitFor()
    await runtime.session('agent-1').run('another', () => 1).outcome
    await operations.getByText('completed 4').waitFor()
    // A job that ends may be seen a moment later; none is left.
    await operations.getByText('running').waitFor({ state: 'detached' })
  })

  it('finds work by words that are a part of the address, and goes back to it', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('list fil')
    await page.getByText('1 found').waitFor()
    expect(new URL(page.url()).hash).toBe('#/list?text=list+fil')
    await page.reload()
    await page.getByText('1 found').waitFor()
    expect(await page.getByRole('searchbox').inputValue()).toBe('list fil')
    await page.getByLabel('failed', { exact: true }).check()
    await page.getByText('0 found').waitFor()
  })

  it('shows names and errors as text, whatever they hold', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByText('read <b>notes</b>').waitFor()
    await page.getByText('<img src=x onerror=alert(1)>').first().waitFor()
    expect(await page.locator('main b, main img').count()).toBe(0)
  })

  it('shows the progress, the parts, the chart and the history of one item, lit where it is', async () => {
    const { url, gate } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByRole('link', { name: 'fetch docs' }).click()
    await page.locator('header.item').getByText('half of it').waitFor()
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
    await page.locator('main li a').first().waitFor()
    const names = await page.locator('main li a').allTextContents()
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
    await page
      .getByRole('link', { name: /agent-1/ })
      .first()
      .click()
    await page.getByRole('listitem').filter({ hasText: 'break' }).getByText('#1').waitFor()
  })

  it('says who is missing at a barrier, what is asked, and what waits', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Waits')
    await page.getByText('3 of 3 are missing').waitFor()
    await page.getByRole('strong').filter({ hasText: 'approval' }).waitFor()
    await page
      .getByRole('link', { name: /review/ })
      .first()
      .waitFor()
  })

  it('draws the tasks, and shows budgets, schedules and processes', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await go(page, 'Tasks')
    await page.locator('.task').first().waitFor()
    await go(page, 'Budgets')
    await page.getByText(/of 5,000/).waitFor()
    await go(page, 'Schedules')
    await page.getByText('0 6 * * *').waitFor()
    await go(page, 'Processes')
    await page.getByRole('listitem').filter({ hasText: 'review' }).waitFor()
    expect(await page.getByRole('navigation').getByRole('link', { name: 'Node' }).count()).toBe(0)
  })

  it('travels through time: charts and lists are as they were recorded', async () => {
    const { url, gate, runtime } = await openService()
    const page = await openPage(url)
    const before = await page.evaluate(async () => {
      const answer = await fetch('query', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ view: 'entries' }),
      })
      return ((await answer.json()) as { newest: number }).newest
    })
    gate.open()
    await runtime.session('agent-1').run('afterwards', () => 1).outcome
    await page.goto(`${url}#/list?types=operation&at=${before}`)
    await page.getByText(`as it was after entry ${before}`).waitFor()
    const was = page.getByRole('listitem').filter({ hasText: 'fetch docs' })
    await was.getByText('running').waitFor()
    expect(await page.getByRole('listitem').filter({ hasText: 'afterwards' }).count()).toBe(0)
    await page.getByRole('button', { name: 'now' }).click()
    await was.getByText('completed').waitFor()
    await page.getByRole('listitem').filter({ hasText: 'afterwards' }).waitFor()
  })

  it('says where it cannot go back in time, and goes back for an item', async () => {
    const { url, gate, runtime } = await openService()
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).getByText('running').waitFor()
    const before = (await page.getByRole('slider').getAttribute('max')) ?? ''
    gate.open()
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).getByText('completed').waitFor()
    await page.getByRole('link', { name: 'fetch docs' }).click()
    await page.locator('header.item .phase', { hasText: 'completed' }).waitFor()
    await page.goto(`${page.url()}&at=${before}`)
    await page.locator('header.item .phase', { hasText: 'running' }).waitFor()
    await page.locator('.chart g.lit[data-state$="running"]').waitFor()
    await go(page, 'Waits')
    await page.getByText('This screen shows how things are now').waitFor()
    await runtime.close({ policy: 'terminate' })
  })

  it('opens a recording that was saved, reads it in the page alone, and refuses what is none', async () => {
    const { url, gate } = await openService()
    const saved = Buffer.from(await (await fetch(`${url}recording`)).arrayBuffer())
    const page = await openPage(url)
    await go(page, 'Work')
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('link', { name: 'save recording' }).click()
    const recording = await readFile(await (await download).path())
    expect(recording.length).toBeGreaterThan(saved.length / 2)
    const input = page.getByLabel('Recording to open')
    await input.setInputFiles({ name: 'none.jsonl', mimeType: 'text/plain', buffer: Buffer.from('{"type":"else"}\n') })
    await page.getByText(/invalid recording/).waitFor()
    await page.locator('.status', { hasText: 'live' }).waitFor()

    gate.open()
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).getByText('completed').waitFor()
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    const hostile = '{"type":"row","n":1}\nnot json\n{"type":"actor"'
    await input.setInputFiles({
      name: 'kept.jsonl',
      mimeType: 'application/x-ndjson',
      buffer: Buffer.concat([recording, Buffer.from(hostile)]),
    })
    await page.locator('.source', { hasText: 'kept.jsonl' }).waitFor()
    await page.locator('.status', { hasText: '3 lines could not be understood' }).waitFor()
    await go(page, 'Work')
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).getByText('running').waitFor()
    await page.goto(`${url}#/machine/operation`)
    await page.locator('.chart g.lit[data-state$="running"]').waitFor()
    expect(asked).toEqual([])
    await page.getByRole('button', { name: 'close recording' }).click()
    await page.locator('.status', { hasText: 'live' }).waitFor()
    await go(page, 'Work')
    await page.getByRole('listitem').filter({ hasText: 'fetch docs' }).getByText('completed').waitFor()
  })

  it('opens a chart as a whole, and shows it in full size when it is asked to', async () => {
    const { url } = await openService()
    const page = await openPage(`${url}#/machine/run`, { width: 900, height: 600 })
    const frame = page.locator('.chart')
    await page.locator('.chart g.state').first().waitFor()
    const overflow = (): Promise<boolean> =>
      frame.evaluate(
        (element) => element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight,
      )
    expect(await overflow()).toBe(false)
    await page.getByRole('button', { name: 'full size' }).click()
    expect(await overflow()).toBe(true)
  })

  it('is used with the keyboard alone', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await page.getByRole('navigation').waitFor()
    await page.keyboard.press('2')
    await page.getByRole('listitem').first().waitFor()
    await page.keyboard.press('1')
    await page.getByRole('heading', { name: 'Operations' }).waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content')
  })

  it('offers nothing to do when it is for reading only, and the server refuses it all the same', async () => {
    const { url } = await openService()
    const page = await openPage(url, { expected: /status of 403/ })
    await go(page, 'Work')
    await page.getByRole('link', { name: 'fetch docs' }).click()
    await page.locator('.history li').first().waitFor()
    expect(await page.getByRole('button', { name: 'cancel' }).count()).toBe(0)
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
    await page.getByRole('link', { name: 'list files' }).click()
    await page.getByRole('button', { name: 'cancel' }).click()
    await page.locator('.chart g.lit[data-state$="cancelled"]').waitFor()
    await go(page, 'Waits')
    await page.getByLabel('Answer to approval').fill('{"approved":true}')
    await page.keyboard.press('Enter')
    await page.getByText('answered').first().waitFor()
    await page.getByText('Open questions (0)').waitFor()
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
    await page.getByRole('listitem').filter({ hasText: 'before' }).waitFor()
    await first.close()
    await page.locator('.status', { hasText: /ended|connecting/ }).waitFor()
    const second = await open(first.port)
    onTestFinished(second.close)
    await page.locator('.status', { hasText: 'live' }).waitFor()
    await page.getByRole('listitem').filter({ hasText: 'after' }).waitFor()
    expect(await page.getByRole('listitem').filter({ hasText: 'before' }).count()).toBe(0)
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

/** Texts whose contrast with what is behind them is below that of WCAG AA. */
function faintTexts(): readonly string[] {
  const luminance = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).map(Number)
    const part = (value: number): number =>
      value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
    return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue)
  }
  const behind = (element: Element | null): string => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor
      if (!/, 0\)$|transparent/.test(colour)) return colour
    }
    return 'rgb(255, 255, 255)'
  }
  const faint: string[] = []
  for (const element of document.querySelectorAll('body *:not(svg *)')) {
    const hasText = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && (node.textContent ?? '').trim() !== '',
    )
    if (!hasText || (element instanceof HTMLButtonElement && element.disabled)) continue
    const [one, other] = [luminance(getComputedStyle(element).color), luminance(behind(element))]
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    if (contrast < 4.5) faint.push(`${element.textContent} ${contrast.toFixed(2)}`)
  }
  return faint
}

describe.skipIf(browserPath === undefined)('how the page looks', () => {
  it.each(['light', 'dark'] as const)('has enough contrast everywhere: %s', async (theme) => {
    const { url } = await openService()
    const page = await openPage(url, { theme })
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect(back).toBe(theme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 28)')
    for (const screen of ['overview', 'list', 'machines', 'feeds', 'waits', 'budgets', 'schedules', 'processes']) {
      await page.goto(`${url}#/${screen}`)
      await page.locator('main > *').first().waitFor()
      await page.waitForLoadState('networkidle').catch(() => {})
      expect(await page.evaluate(faintTexts)).toEqual([])
    }
  })

  it('fits a screen of 360 pixels', async () => {
    const { url } = await openService()
    const page = await openPage(url, { width: 360, height: 700 })
    for (const screen of [
      'overview',
      'list',
      'machines',
      'machine/operation',
      'sequence',
      'feeds',
      'waits',
      'graph',
      'budgets',
      'schedules',
      'processes',
    ]) {
      await page.goto(`${url}#/${screen}`)
      await page.locator('main > *').first().waitFor()
      expect([screen, await page.evaluate(() => document.documentElement.scrollWidth)]).toEqual([screen, 360])
    }
  })
})
