import { existsSync } from 'node:fs'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, onTestFinished } from 'vitest'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Where a browser is on this machine: `STATEWARD_CHROMIUM`, or Debian's; `undefined` where there is none. */
export const browserPath = process.env['STATEWARD_CHROMIUM'] ?? places.find((path) => existsSync(path))

/** How a page is to be shown. */
export interface Screen {
  readonly width?: number
  readonly height?: number
  readonly theme?: 'light' | 'dark'
  /** What the page is expected to complain of. */
  readonly expected?: RegExp
}

let launching: Promise<Browser> | undefined

function launch(): Promise<Browser> {
  launching ??= chromium.launch({
    executablePath: browserPath ?? '',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  })
  return launching
}

/** Call at the top of a file: closes the browser that its tests have opened. */
export function closeBrowserAtEnd(): void {
  afterAll(async () => {
    const browser = await launching
    launching = undefined
    await browser?.close()
  })
}

/** A page that is closed with its test, which fails for whatever the page complains of, and for each request that leaves the machine. */
export async function openPage(
  url: string,
  { width = 1200, height = 800, theme = 'light', expected }: Screen = {},
): Promise<Page> {
  const browser = await launch()
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme })
  context.setDefaultTimeout(90_000)
  const complaints: string[] = []
  const page = await context.newPage()
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('request', (request) => {
    const address = request.url()
    if (!address.startsWith(new URL(url).origin) && !address.startsWith('data:')) complaints.push(`asks for ${address}`)
  })
  onTestFinished(async () => {
    await context.close()
    const unexpected = complaints.filter((words) => expected?.test(words) !== true)
    if (unexpected.length > 0) throw new Error(unexpected.join('\n'))
  })
  await page.goto(url)
  await page.locator('.status', { hasText: /live|not running/ }).waitFor()
  return page
}
