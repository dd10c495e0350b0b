import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTypeProject, type TypeProject } from '../support/type-project.js'
import { fetchPackage } from './support/fetch-package.js'

/** The oldest compiler that is supported, and the last of each line up to the one that the project itself uses. */
const versions = ['5.5.4', '5.9.3', '6.0.3']
let project: TypeProject

beforeAll(async () => {
  project = await createTypeProject()
}, 240_000)
afterAll(() => project[Symbol.asyncDispose]())

describe.each(versions)('with TypeScript %s', (version) => {
  it.each([true, false])(
    'what a user writes has the types it should have, exact optional types: %s',
    async (isExact) => {
      const compiler = await fetchPackage('typescript', version)
      expect(await project.errorsOf(compiler, isExact, 'entries.ts')).toEqual([])
    },
    480_000,
  )
})
