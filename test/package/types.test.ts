import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTypeProject, ownCompiler, type TypeProject } from '../support/type-project.js'

let project: TypeProject

beforeAll(async () => {
  project = await createTypeProject()
}, 240_000)
afterAll(() => project[Symbol.asyncDispose]())

it.each([true, false])(
  'what a user writes has the types it should have, and what is wrong does not compile, exact optional types: %s',
  async (isExact) => {
    expect(await project.errorsOf(ownCompiler, isExact)).toEqual([])
  },
  240_000,
)
