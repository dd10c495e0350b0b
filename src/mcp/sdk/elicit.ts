import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import { InvalidInputError } from '../../base/errors.js'
import { textOf } from '../../base/options.js'
import { isSchema } from '../../work/values.js'
import type { InputRequest } from '../wire/shapes.js'
import { jsonSchemaOf, listingFault } from './tool-definition.js'

/** The form for a person to fill in, as JSON Schema: an object with flat fields. */
export interface RequestedForm {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, object>>
  readonly required?: readonly string[]
}

/**
 * Makes a question to a person for `task.input`: a message and a form, given as JSON Schema or as a schema that
 * provides it. Only the shape of the answer is checked, so check its `content`. Raises `invalid_input`.
 */
export function elicit(message: string, form: RequestedForm | StandardSchemaWithJSON): InputRequest {
  const refuse = (field: string, reason: string): never => {
    throw new InvalidInputError({ subject: 'question', field, reason })
  }
  if (typeof message !== 'string') refuse('message', `not text: ${textOf(message)}`)
  return { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema: formOf(form, refuse) } }
}

function formOf(
  form: RequestedForm | StandardSchemaWithJSON,
  refuse: (field: string, reason: string) => never,
): RequestedForm {
  if (!isSchema(form)) {
    const isForm = typeof form === 'object' && form !== null && form.type === 'object'
    return isForm ? form : refuse('form', `describes no object: ${textOf(form)}`)
  }
  const fault = listingFault(form, 'input')
  if (fault !== undefined) refuse('form', fault)
  const { properties = {}, required } = jsonSchemaOf(form, 'input') as Partial<RequestedForm>
  return { type: 'object', properties, ...(required !== undefined && { required }) }
}
