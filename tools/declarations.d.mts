/** Bundles the compiled declarations of a folder. */
export function bundleDeclarations(compiled: string, output: string): Promise<void>
