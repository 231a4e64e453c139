/**
 * A name without its case, to compare by: Go's `encoding/json` and ASP.NET take `Amount` for `amount`. Every letter that
 * Unicode folds to another (the long s, the Kelvin sign, the capital sharp s) gives what that other gives.
 */
export const caseless = (name: string): string => name.toLowerCase().toUpperCase().toLowerCase();
