import { arch, cpus, platform, release, totalmem } from 'node:os'
import type { Aim, BenchReport, Cell } from './harness.js'

/** The machine and the runtime a report was made on. */
export function describeMachine(): Record<string, Cell> {
  const processors = cpus()
  return {
    node: process.version,
    platform: `${platform()} ${release()} ${arch()}`,
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  }
}

/** The report for programs: what has an aim apart from what has none. */
export function asJson({ name, configuration, rows, ratios, aims = {} }: BenchReport) {
  const of = (isAimed: boolean): Record<string, number> =>
    Object.fromEntries(Object.entries(ratios).filter(([ratio]) => ratio in aims === isAimed))
  return { name, configuration, ratios: of(true), figures: of(false), aims, rows }
}

/** The report as text for people: the configuration, the rows as one table, the ratios beside their aims. */
export function formatReport({ name, configuration, rows, ratios, aims = {} }: BenchReport): string {
  const configured = Object.entries(configuration).map(([key, value]) => `  ${key}: ${value}`)
  const judged = Object.entries(ratios).map(([ratio, value]) => ({ ratio, value, ...judge(value, aims[ratio]) }))
  return [name, ...configured, '', formatTable(rows), '', formatTable(judged)].join('\n')
}

/** Rows as aligned columns; the columns are the keys in the order they first appear, numbers stand to the right. */
export function formatTable(rows: readonly Readonly<Record<string, Cell>>[]): string {
  const titles = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const body = rows.map((row) => titles.map((title) => formatCell(row[title])))
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  )
  const isNumeric = titles.map((title) => rows.some((row) => typeof row[title] === 'number'))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        isNumeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(titles), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

function formatCell(value: Cell | undefined): string {
  if (typeof value !== 'number') return value ?? ''
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : 3 })
}

function judge(value: number, aim: Aim | undefined): { readonly aim: string; readonly met: string } {
  if (aim === undefined) return { aim: '', met: '' }
  if ('atLeast' in aim) return { aim: `>= ${aim.atLeast}`, met: value >= aim.atLeast ? 'yes' : 'no' }
  return { aim: `<= ${aim.atMost}`, met: value <= aim.atMost ? 'yes' : 'no' }
}
