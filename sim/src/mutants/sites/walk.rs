//! The walk over a file: which places are visited, and what could be done at each.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, BinOp, Block, ExprBinary, ExprCall, ExprConst, ExprIf, ExprLit, ExprMethodCall, ExprUnary,
    ExprWhile, Generics, ImplItemConst, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, ItemTrait, Lit, Pat, Stmt,
    TraitItemFn, Type, UnOp,
};

use super::super::Kind;
use super::super::source::is_conditional;
use super::syntax::{has_let, only_says};
use super::{Sites, forms};

/// Traits that only show something to people.
const SHOWING: [&str; 3] = ["Debug", "Display", "LowerHex"];

impl<'ast> Visit<'ast> for Sites<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // Nothing else holds code that runs.
        if matches!(item, Item::Fn(_) | Item::Impl(_) | Item::Mod(_) | Item::Trait(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_conditional(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_conditional(&item.attrs) {
            let owner = std::mem::take(&mut self.owner);
            self.function(&item.sig, &item.block);
            self.owner = owner;
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        let shows = of.is_some_and(|name| SHOWING.iter().any(|shown| name.ident == shown));
        if is_conditional(&item.attrs) || shows {
            return;
        }
        let owner = self.text(&item.self_ty);
        let owner = owner.split('<').next().unwrap_or(owner).trim().to_owned();
        let outside = std::mem::replace(&mut self.owner, owner);
        item.items.iter().for_each(|item| self.visit_impl_item(item));
        self.owner = outside;
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        if !is_conditional(&item.attrs) {
            let outside = std::mem::replace(&mut self.owner, item.ident.to_string());
            item.items.iter().for_each(|item| self.visit_trait_item(item));
            self.owner = outside;
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_conditional(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let (Some(block), false) = (&item.default, is_conditional(&item.attrs)) {
            self.function(&item.sig, block);
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        for statement in &block.stmts {
            if let Stmt::Expr(expression, Some(_)) = statement {
                self.discard(statement, expression);
            }
        }
        visit::visit_block(self, block);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !self.is_conditional(statement) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_expr_lit(&mut self, literal: &'ast ExprLit) {
        let Lit::Int(number) = &literal.lit else { return };
        self.off_by_one(literal, "+ 1");
        if number.base10_parse::<u64>().is_ok_and(|number| number > 0) {
            self.off_by_one(literal, "- 1");
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let is_logic = matches!(binary.op, BinOp::And(_) | BinOp::Or(_));
        if !(is_logic && (has_let(&binary.left) || has_let(&binary.right))) {
            let (kind, others) = forms::operators(&binary.op);
            let (left, right) = (self.text(&binary.left), self.text(&binary.right));
            for other in others {
                self.replace(kind, binary, &format!("{left} {other} {right}"), &format!("({left}) {other} ({right})"));
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        if matches!(unary.op, UnOp::Not(_)) {
            let inner = self.text(&unary.expr);
            self.replace(Kind::Logic, unary, inner, inner);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        if branch.else_branch.is_some() || !only_says(&branch.then_branch) {
            self.guard(&branch.cond);
        }
        self.visit_expr(&branch.cond);
        if !self.is_planted(&branch.cond) {
            self.visit_block(&branch.then_branch);
        }
        if let Some((_, other)) = &branch.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_expr_while(&mut self, turns: &'ast ExprWhile) {
        // A loop without an end would be caught by anything.
        self.never(&turns.cond);
        visit::visit_expr_while(self, turns);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if is_conditional(&arm.attrs) {
            return;
        }
        if let Some((_, guard)) = &arm.guard {
            self.guard(guard);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        self.swap(call, call.args.iter());
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.swap(call, call.args.iter());
        if let Some((kind, opposite)) = forms::opposite(&call.method.to_string()) {
            let (whole, name) = (call.span().byte_range(), call.method.span().byte_range());
            let opposed = [&self.text[whole.start..name.start], opposite, &self.text[name.end..whole.end]].concat();
            self.replace(kind, call, &opposed, &opposed);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_const(&mut self, _: &'ast ExprConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast ImplItemConst) {}
    fn visit_generics(&mut self, _: &'ast Generics) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
}
