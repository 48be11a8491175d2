mod fates;
mod kit;
mod model;
mod starts;
mod steps;

use super::*;
