/** Whether everybody can use the page: with the keyboard alone, with a screen reader, with weak eyes, on a small screen. */
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { browserPath, closeBrowserAtEnd, openPage } from './support/browser.js'
import { screens, shows } from './support/screens.js'
import { openService } from './support/service.js'

closeBrowserAtEnd()

/** What is wrong with the page by the rules of WCAG, level AA, and by what is known to work. */
async function violationsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  )
}

/** What has the focus: its role and its name, or its text. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement
    return element?.getAttribute('aria-label') ?? element?.textContent ?? ''
  })
}

/** Presses the tab key until something has the focus; it must come, and whatever comes before is seen to have it. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let many = 0; many < 60; many += 1) {
    await page.keyboard.press('Tab')
    const isSeen = await page.evaluate(() => {
      const element = document.activeElement
      if (element === null || element === document.body) return true
      return getComputedStyle(element).outlineStyle !== 'none'
    })
    expect(`${await focused(page)} is seen: ${isSeen}`).toMatch(/is seen: true$/)
    if ((await focused(page)) === name) return
  }
  throw new Error(`the tab key does not lead to ${name}`)
}

describe.skipIf(browserPath === undefined)('the page for everybody', () => {
  it.each(['light', 'dark'] as const)('breaks no rule of access: %s', async (theme) => {
    const { url } = await openService({ actions: true }, true)
    const page = await openPage(url, { theme })
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect(back).toBe(theme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 28)')
    for (const [address, title] of screens) {
      await page.goto(`${url}#/${address}`)
      await shows(page, title)
      expect([title, ...(await violationsOf(page))]).toEqual([title])
    }
  })

  it('tells a screen reader where it is and what can be done', async () => {
    const { url } = await openService({ actions: true })
    const page = await openPage(`${url}#/list`)
    await shows(page, 'Work')
    expect(await page.title()).toBe('Work · stateward')
    await page.getByRole('main', { name: 'Work' }).waitFor()
    await page.getByRole('banner').waitFor()
    await page.getByRole('navigation', { name: 'Screens' }).waitFor()
    await page.getByRole('search').getByRole('searchbox', { name: 'Filter' }).waitFor()
    await page.getByRole('group', { name: 'phase' }).getByRole('checkbox', { name: 'failed', exact: true }).waitFor()
    await page
      .getByRole('region', { name: 'Time travel' })
      .getByRole('slider', { name: 'Entry of the stream' })
      .waitFor()
    await page
      .getByRole('list', { name: 'Operations, tasks and processes' })
      .getByRole('link', { name: 'fetch docs', exact: true })
      .waitFor()
    await page.getByRole('link', { name: 'fetch docs', exact: true }).click()
    await page.getByRole('img', { name: 'operation, now in operation, running' }).waitFor()
    await page.getByRole('button', { name: 'cancel', exact: true }).waitFor()
  })

  it('leads past the menu to the content, from screen to screen and back, by keys alone', async () => {
    const { url } = await openService()
    const page = await openPage(url)
    await shows(page, 'Overview')
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('content')
    await shows(page, 'Overview')

    await page.keyboard.press('2')
    await shows(page, 'Work')
    await tabTo(page, 'Filter')
    await page.keyboard.type('1 is no key here')
    await page.getByText('0 found', { exact: true }).waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('1')
    await shows(page, 'Overview')

    await page.keyboard.press('Shift+Tab')
    await page.goBack()
    await shows(page, 'Work')
    await page.reload()
    await shows(page, 'Work')
    await tabTo(page, 'Charts')
    await page.keyboard.press('Enter')
    await shows(page, 'Charts')
    // Whoever goes to a screen goes on in it.
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('operation')
    await page.keyboard.press('Enter')
    await shows(page, 'Charts: operation')
    await tabTo(page, 'full size')
    await page.keyboard.press('Space')
    await page.getByRole('button', { name: 'full size', pressed: true }).waitFor()
    await tabTo(page, 'Chart operation')
  })

  it('goes through a list row by row, and into an item and back, by keys alone', async () => {
    const { url, runtime, gate } = await openService()
    const session = runtime.session('agent-2')
    for (let number = 0; number < 100; number += 1) await session.run(`number ${number}`, () => number).outcome
    const page = await openPage(`${url}#/list?types=operation&text=number`)
    await page.getByText('100 found', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'number 99', exact: true }).waitFor()
    await tabTo(page, 'Operations, tasks and processes')
    await page.keyboard.press('ArrowDown')
    expect(await focused(page)).toBe('number 99')
    await page.keyboard.press('ArrowDown')
    expect(await focused(page)).toBe('number 98')
    await page.keyboard.press('ArrowUp')
    expect(await focused(page)).toBe('number 99')
    await page.keyboard.press('End')
    await page.waitForFunction(() => document.activeElement?.textContent === 'number 0')
    await page.keyboard.press('Home')
    await page.waitForFunction(() => document.activeElement?.textContent === 'number 99')
    // One stop for the whole list.
    await page.keyboard.press('Tab')
    expect(await focused(page)).not.toMatch(/^number/)
    await page.keyboard.press('Shift+Tab')
    expect(await focused(page)).toBe('number 99')
    await page.keyboard.press('Enter')
    await page.locator('header.item').getByRole('link', { name: 'number 99', exact: true }).waitFor()
    await page.goBack()
    await page.getByText('100 found', { exact: true }).waitFor()
    gate.open()
  })

  it('goes back in time and to now by keys alone', async () => {
    const { url, runtime } = await openService()
    const page = await openPage(`${url}#/list`)
    await page.getByRole('link', { name: 'fetch docs', exact: true }).waitFor()
    const slider = page.getByRole('slider', { name: 'Entry of the stream' })
    const bounds = (): Promise<{ min: number; max: number }> =>
      slider.evaluate((input) => {
        const { min, max } = input as HTMLInputElement
        return { min: Number(min), max: Number(max) }
      })
    // It begins where everything is known that was there before.
    await expect.poll(async () => (await bounds()).min, { timeout: 90_000 }).toBeGreaterThan(1)
    const { min } = await bounds()
    await runtime.session('agent-1').run('later', () => 1).outcome
    await expect.poll(async () => (await bounds()).max, { timeout: 90_000 }).toBeGreaterThan(min + 1)
    await tabTo(page, 'Entry of the stream')
    await page.keyboard.press('Home')
    await page.getByText(new RegExp(`^as it was after entry ${min} of`)).waitFor()
    expect(await slider.getAttribute('aria-valuetext')).toMatch(new RegExp(`^after entry ${min} of`))
    await page.keyboard.press('ArrowRight')
    await page.getByText(new RegExp(`^as it was after entry ${min + 1} of`)).waitFor()
    await page.keyboard.press('Escape')
    await page.getByText(/^as it was after/).waitFor({ state: 'detached' })
    expect(new URL(page.url()).hash).toBe('#/list')
  })

  it('fits a screen of 360 pixels', async () => {
    const { url } = await openService(true, true)
    const page = await openPage(url, { width: 360, height: 700 })
    for (const [address, title] of screens) {
      await page.goto(`${url}#/${address}`)
      await shows(page, title)
      expect([title, await page.evaluate(() => document.documentElement.scrollWidth)]).toEqual([title, 360])
      // Nothing is left out for lack of room.
      if (title === 'Waits') await page.getByRole('link', { name: 'order-42', exact: true }).waitFor()
      if (title === 'Node') await page.getByRole('link', { name: 'indexer', exact: true }).waitFor()
      if (title === 'Messages') await page.locator('.message .words').first().waitFor()
    }
  })
})
