import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** What an exported name stands for: the file that declares it and its name there. */
export type Declaration = `${string}#${string}`

/** A module as far as names are concerned. */
interface Module {
  readonly declared: ReadonlySet<string>
  readonly imported: ReadonlyMap<string, Source>
  readonly exported: ReadonlyMap<string, Source>
  /** Modules of which everything is exported. */
  readonly all: readonly string[]
}

interface Source {
  /** The module the name comes from; none for the module itself. */
  readonly from: string | undefined
  readonly name: string
}

const declaration =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|class|interface|type|function\*?|enum|namespace) (\w+)/gm
const list = /^(import|export) (?:type )?(?:\w+, )?\{([^}]*)\}(?: from '([^']+)')?/gm
const star = /^export (?:type )?\* from '([^']+)'/gm
const unreadable = /^export (?:default\b|=|(?:type )?\* as |(?:const|let) [{[])/m

/** `a`, `type a`, `a as b`: the name outside and the name inside. */
function parseNames(text: string): [outside: string, inside: string][] {
  const entries = text.replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, '').split(',')
  return entries.flatMap((entry) => {
    const [inside, outside = inside] = entry
      .trim()
      .replace(/^type /, '')
      .split(/\s+as\s+/)
    return inside === undefined || outside === undefined || inside === '' ? [] : [[outside, inside]]
  })
}

function parseModule(file: string, text: string): Module {
  const odd = unreadable.exec(text)
  if (odd !== null) throw new Error(`${file} exports in a way that is not understood here: ${odd[0]}`)
  const resolve = (specifier: string | undefined): string | undefined =>
    specifier === undefined ? undefined : resolveModule(file, specifier)
  const imported = new Map<string, Source>()
  const exported = new Map<string, Source>()
  for (const [, kind, names = '', specifier] of text.matchAll(list)) {
    for (const [outside, inside] of parseNames(names)) {
      if (kind === 'import') imported.set(outside, { from: resolve(specifier), name: inside })
      else exported.set(outside, { from: resolve(specifier), name: inside })
    }
  }
  return {
    declared: new Set(Array.from(text.matchAll(declaration), ([, name = '']) => name)),
    imported,
    exported,
    all: Array.from(text.matchAll(star), ([, specifier = '']) => resolveModule(file, specifier)),
  }
}

/** The file of a relative specifier; another package is its own name. */
function resolveModule(file: string, specifier: string): string {
  return specifier.startsWith('.')
    ? normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts')
    : `package ${specifier}`
}

/** Follows names through modules to where they are declared. */
export class Exports {
  readonly #read: (file: string) => string
  readonly #modules = new Map<string, Module>()

  /** `read` gives the text of a file by its path from the root. */
  constructor(read: (file: string) => string) {
    this.#read = read
  }

  /** Over the files below a folder. */
  static in(root: string): Exports {
    return new Exports((file) => readFileSync(join(root, file), 'utf8'))
  }

  /** Every name that a module exports, types included, with what it stands for. */
  of(file: string): Map<string, Declaration> {
    const { declared, exported, all } = this.#module(file)
    const names = new Map<string, Declaration>()
    for (const module of all) {
      if (!module.startsWith('package ')) for (const [name, what] of this.of(module)) names.set(name, what)
    }
    for (const [name, { from, name: inside }] of exported)
      names.set(name, this.#follow(from ?? file, inside, from === undefined))
    for (const name of declared) names.set(name, `${file}#${name}`)
    return names
  }

  /** What a name of a module stands for; `isLocal` when the module itself uses it, so that imports count. */
  #follow(file: string, name: string, isLocal: boolean): Declaration {
    if (file.startsWith('package ')) return `${file}#${name}`
    const { declared, imported, exported, all } = this.#module(file)
    if (declared.has(name)) return `${file}#${name}`
    const source = isLocal ? imported.get(name) : exported.get(name)
    if (source !== undefined) {
      if (source.from === undefined) return this.#follow(file, source.name, true)
      return this.#follow(source.from, source.name, false)
    }
    if (isLocal) return `${file}#${name}`
    const through = all.find((module) => !module.startsWith('package ') && this.of(module).has(name))
    if (through === undefined) throw new Error(`${file} does not export ${name}`)
    return this.#follow(through, name, false)
  }

  #module(file: string): Module {
    let module = this.#modules.get(file)
    if (module === undefined) {
      module = parseModule(file, this.#read(file))
      this.#modules.set(file, module)
    }
    return module
  }
}

/** The words of a name: `isRunState`, `run_state` and `RUN_STATE` have `run` and `state`. */
export function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(/[\s_]+/)
    .map((word) => word.toLowerCase())
    .filter((word) => word !== '')
}
