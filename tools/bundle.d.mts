/** Bundles the compiled modules of a folder; `more` are modules that are to be files as well. */
export function bundle(compiled: string, output: string, more?: readonly string[]): Promise<string[]>
/** The modules that an import of the package can name. */
export const entryPoints: readonly string[]
