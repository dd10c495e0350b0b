import { StatewardError } from './errors.js'

/** Per code, the function that makes the message from the error's data. A code without data takes no parameter. */
export type ErrorMessages = Readonly<Record<string, (data: never) => string>>

/** The data of each code of a catalogue of errors. */
export type ErrorDataOf<Messages extends ErrorMessages> = {
  readonly [Code in keyof Messages]: Messages[Code] extends () => string
    ? Readonly<Record<string, never>>
    : Parameters<Messages[Code]>[0]
}

/** The error class of one catalogue. Each message is derived from the error's data. */
export interface ErrorClass<Data> {
  new <Code extends keyof Data & string>(
    code: Code,
    data: Data[Code],
    options?: ErrorOptions,
  ): StatewardError<Code, Data[Code]>
}

/**
 * Defines the errors of one part of the library: a code, its data and its message in one place.
 *
 *     const BankError = defineErrors('BankError', {
 *       // The account has less than that.
 *       overdrawn: ({ balance }: { readonly balance: number }) => `only ${balance} left`,
 *     })
 *     throw new BankError('overdrawn', { balance: 3 })
 */
export function defineErrors<const Messages extends ErrorMessages>(
  name: string,
  messages: Messages,
): ErrorClass<ErrorDataOf<Messages>> {
  return class extends StatewardError {
    override readonly name = name

    constructor(code: string, data: unknown, options?: ErrorOptions) {
      super(code, (messages[code] as (data: unknown) => string)(data), data, options)
    }
  } as ErrorClass<ErrorDataOf<Messages>>
}
