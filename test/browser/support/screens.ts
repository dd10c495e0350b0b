import type { Page } from 'playwright-core'

/** Waits until a screen is there, with what it was waiting for itself. Nothing of the screen before is left then. */
export async function shows(page: Page, title: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor()
  await page.getByText('loading…', { exact: true }).first().waitFor({ state: 'detached' })
}

/** Every screen of a service that has a node: its address behind the #, and what it is called. */
export const screens: readonly (readonly [string, string])[] = [
  ['overview', 'Overview'],
  ['list', 'Work'],
  ['machines', 'Charts'],
  ['machine/operation', 'Charts: operation'],
  ['sequence', 'Messages'],
  ['feeds', 'Feeds'],
  ['feed/session%3Aagent-1', 'Feeds: session:agent-1'],
  ['waits', 'Waits'],
  ['graph', 'Tasks'],
  ['budgets', 'Budgets'],
  ['schedules', 'Schedules'],
  ['processes', 'Processes'],
  ['item?type=process&id=review-1', 'Work: process review-1'],
  ['node', 'Node'],
]
