/** A duration in the usual units: `250 ms`, `3.2 s`, `4 min`, `2 h`, `3 d`. */
export function duration(ms: number): string {
  const size = Math.abs(ms)
  if (size < 1_000) return `${Math.round(ms)} ms`
  if (size < 60_000) return `${(ms / 1_000).toFixed(size < 10_000 ? 1 : 0)} s`
  if (size < 3_600_000) return `${Math.round(ms / 60_000)} min`
  if (size < 172_800_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} d`
}

/** The time between an instant and now. */
export function relative(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs
  if (Math.abs(ms) < 1_000) return 'now'
  return ms > 0 ? `${duration(ms)} ago` : `in ${duration(-ms)}`
}

/** The local time of day, with milliseconds. */
export function clockTime(atMs: number): string {
  const date = new Date(atMs)
  if (Number.isNaN(date.getTime())) return String(atMs)
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => padded(part, 2))
  return `${time.join(':')}.${padded(date.getMilliseconds(), 3)}`
}

/** An instant relative to another: the time of day, preceded by the date if it differs. */
export function instant(atMs: number, fromMs: number): string {
  const [date, from] = [new Date(atMs), new Date(fromMs)]
  if (Number.isNaN(date.getTime()) || date.toDateString() === from.toDateString()) return clockTime(atMs)
  const day = [padded(date.getFullYear(), 4), padded(date.getMonth() + 1, 2), padded(date.getDate(), 2)]
  return `${day.join('-')} ${clockTime(atMs).slice(0, 8)}`
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}

/** A number with separators. */
export function count(value: number): string {
  return value.toLocaleString('en-GB')
}
