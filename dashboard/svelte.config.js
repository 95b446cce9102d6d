// Tables that are laid out as grids on narrow screens lose their roles, so they are stated.
const REDUNDANT = 'a11y_no_redundant_roles';

export default {
  compilerOptions: { runes: true, warningFilter: (warning) => warning.code !== REDUNDANT },
};
