import type { Arrangement } from '../operations.js'

interface Entry {
  status: 'provisioning' | 'running' | 'completed'
  progress: number
  readonly resolve: (content: string) => void
}

/** What a service author writes by hand: a Map, a promise each, an array as feed. No checks, no bounds. */
export function plainMap(): Arrangement {
  const entries = new Map<string, Entry>()
  const feed: { seq: number; id: string; content: string }[] = []
  const watches: Promise<string>[] = []
  let sequence = 0
  return {
    register(id) {
      watches.push(
        new Promise((resolve) => {
          entries.set(id, { status: 'provisioning', progress: 0, resolve })
        }),
      )
    },
    finish(id) {
      const entry = entries.get(id)
      if (entry === undefined) throw new Error(`unknown ${id}`)
      entry.status = 'running'
      entry.progress += 1
      entry.status = 'completed'
      sequence += 1
      feed.push({ seq: sequence, id, content: 'done' })
      entry.resolve('done')
      entries.delete(id)
    },
    settled: async () => {
      await Promise.all(watches)
    },
  }
}
