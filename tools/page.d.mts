/** Builds the inspector's page into a folder. Returns the names of the packages that have become part of it. */
export function buildPage(output: string): Promise<readonly string[]>
