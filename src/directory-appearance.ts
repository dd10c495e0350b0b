import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** How the files of a directory look from outside; another text when one of them was written, made or taken away. */
export async function appearanceOf(directory: string): Promise<string> {
  const looks = (await readdir(directory)).sort().map(async (name) => {
    try {
      const { size, mtimeNs } = await stat(join(directory, name), { bigint: true })
      return `${name} ${size} ${mtimeNs}`
    } catch {
      // Taken away since it was listed.
      return name
    }
  })
  return (await Promise.all(looks)).join('\n')
}
