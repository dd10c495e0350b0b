import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Describes the files of a directory by name, size and modification time. The text changes whenever a file is written,
 * created or deleted.
 */
export async function appearanceOf(directory: string): Promise<string> {
  const looks = (await readdir(directory)).sort().map(async (name) => {
    try {
      const { size, mtimeNs } = await stat(join(directory, name), { bigint: true })
      return `${name} ${size} ${mtimeNs}`
    } catch {
      // Deleted since it was listed.
      return name
    }
  })
  return (await Promise.all(looks)).join('\n')
}
